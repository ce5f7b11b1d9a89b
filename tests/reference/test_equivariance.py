"""Recorded motions of images, and equivariance measured by the recorded program."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.metrics import equivariance
from afgan_jax.signal import warp
from reference import generators, official

INDEX = official.index("equivariance")
MEASURED = INDEX.get("metric", [])
# (render, motion) of each kind by their recorded names
KINDS = {
    "eqt_int": ("img_int", "t_int"),
    "eqt_frac": ("img_frac", "t_frac"),
    "eqr": ("img_rot", "angle"),
}


@functools.cache
def arrays() -> official.Arrays:
    return official.Arrays("equivariance", "equivariance.npz")


def image(name):
    return official.nhwc(arrays()[name].astype(np.float32))


def check_moved(key, found, out="out", mask="mask"):
    want = image(f"{key}/{out}")
    np.testing.assert_allclose(found[0], want, atol=1e-4)
    masks = found[1], image(f"{key}/{mask}")
    np.testing.assert_array_equal(*(np.broadcast_to(m, want.shape) for m in masks))


def design(case):
    names = {"a": "a", "amax": "radius", "aflt": "design_radius", "up": "up"}
    cutoffs = {k: case[k] for k in ("cutoff_in", "cutoff_out") if k in case}
    return {ours: case[theirs] for theirs, ours in names.items()} | cutoffs


def run_integer(case, x):
    check_moved(case["key"], warp.translate_integer(x, case["tx"], case["ty"]))


def run_fractional(case, x):
    a = case.get("a", 3)
    check_moved(case["key"], warp.translate_fractional(x, case["tx"], case["ty"], a=a))


def run_rotation(case, x):
    settings = design(case)
    check_moved(case["key"], warp.rotate(x, case["angle"], **settings))
    up = case["pseudo_up"]
    assert up == 1, f"no runner for a pseudo-rotation at {up} samples a pixel"
    del settings["up"]
    pseudo = warp.pseudo_rotate(x, case["angle"], **settings)
    check_moved(case["key"], pseudo, "pseudo_out", "pseudo_mask")


def run_affine(case, x):
    matrix = arrays()[case["matrix"]]
    check_moved(case["key"], warp.affine(x, matrix, **design(case)))


def run_filter(case, x):
    taps = warp.bandlimit_filter(arrays()[case["matrix"]], **design(case))
    want = arrays()[case["key"] + "/filter"]
    np.testing.assert_allclose(taps, want, atol=1e-5)


RUNNERS = {
    "int translation": run_integer,
    "frac translation": run_fractional,
    "rotation and pseudo-rotation": run_rotation,
    "affine": run_affine,
    "bandlimit filter": run_filter,
}


@pytest.mark.parametrize("case", INDEX["cases"], ids=lambda c: c["key"])
def test_images_are_moved_as_recorded(case):
    assert case["op"] in RUNNERS, f"no runner for {case['op']!r} ({case['key']})"
    x = image("input/" + case["input"]) if "input" in case else None
    RUNNERS[case["op"]](case, x)


def kinds(case):
    """Kinds of which the case has sums, and the column of the first of each."""
    columns = {c.removesuffix("_sqerr"): i for i, c in enumerate(case["sums_columns"])}
    found = {kind: columns[kind] for kind in KINDS if kind in columns}
    known = [f"{kind}_{what}" for kind in found for what in ("sqerr", "mask")]
    official.only(case["sums_columns"], known, f"columns of {case['key']}:")
    return found


def recorded(case, kind):
    """Recorded sums [num_samples 2] and motions, those of a batch being alike."""
    key, column = case["key"], kinds(case)[kind]
    motions = arrays()[f"{key}/{KINDS[kind][1]}"]
    motions = motions[:, 0] if kind == "eqr" else motions
    sums = arrays()[f"{key}/sums"][:, column : column + 2]
    assert len(sums) == case["num_samples"]
    assert len(motions) == -(-len(sums) // case["batch_size"])
    return sums, list(np.repeat(motions, case["batch_size"], axis=0)[: len(sums)])


def check_sums(found, want):
    np.testing.assert_array_equal(found[:, 1], want[:, 1])
    found, want = (10 * np.log10(sums[:, 0]) for sums in (found, want))
    np.testing.assert_allclose(found, want, atol=0.02)


@pytest.mark.parametrize("case", MEASURED, ids=lambda c: c["key"])
def test_recorded_renders_score_as_recorded(case):
    renders = ["orig", *(KINDS[kind][0] for kind in kinds(case))]
    left = iter([image(f"{case['key']}/batch0/{name}") for name in renders])
    size = len(image(f"{case['key']}/batch0/orig"))
    amounts = {kind: recorded(case, kind)[1][:size] for kind in kinds(case)}
    sums = equivariance.sample_errors(lambda *_: next(left), amounts, batch_size=size)
    for kind in kinds(case):
        want, _ = recorded(case, kind)
        check_sums(sums[kind], want[: case["batch_size"]])
        db = equivariance.psnr(want)
        assert db == pytest.approx(case["db"][kind], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("case", generators.present(MEASURED), ids=lambda c: c["key"])
def test_the_recorded_generator_scores_as_recorded(case):
    G, noise = generators.make(case["config"])
    variables = jax.tree.map(jnp.asarray, generators.variables(case["config"]))
    z, c = (np.float32(arrays()[f"{case['key']}/{name}"]) for name in ("z", "labels"))

    @jax.jit
    def render(numbers, transforms):
        labels = jnp.asarray(c)[numbers] if c.shape[1] else None
        latents = jnp.asarray(z)[numbers]
        return G.apply(variables, latents, labels, transform=transforms, **noise)

    amounts = {kind: recorded(case, kind)[1] for kind in kinds(case)}
    size = case["batch_size"]
    sums = equivariance.sample_errors(render, amounts, batch_size=size)
    for kind in kinds(case):
        check_sums(sums[kind], recorded(case, kind)[0])
        db = equivariance.psnr(sums[kind])
        assert db == pytest.approx(case["db"][kind], abs=0.02)
