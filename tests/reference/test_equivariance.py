"""Recorded motions of pictures, and equivariance measured by the recorded program."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.interop import names as published
from afgan_jax.metrics import equivariance
from afgan_jax.networks import generator
from afgan_jax.signal import warp
from reference import official

INDEX = official.index("equivariance")
MEASURED = INDEX.get("metric", [])
NETWORKS = official.index("losses").get("configs", {})
KINDS = {"eqt_int": "img_int", "eqt_frac": "img_frac", "eqr": "img_rot"}


@functools.cache
def arrays() -> official.Arrays:
    return official.Arrays("equivariance", "equivariance.npz")


def picture(name):
    return official.nhwc(arrays()[name].astype(np.float32))


def check_moved(key, found, out="out", mask="mask"):
    want = picture(f"{key}/{out}")
    np.testing.assert_allclose(found[0], want, atol=1e-4)
    masks = found[1], picture(f"{key}/{mask}")
    np.testing.assert_array_equal(*(np.broadcast_to(m, want.shape) for m in masks))


def design(case):
    names = {"a": "a", "amax": "radius", "aflt": "design_radius", "up": "up"}
    cutoffs = {k: case[k] for k in ("cutoff_in", "cutoff_out") if k in case}
    return {ours: case[theirs] for theirs, ours in names.items()} | cutoffs


def run_integer(case, x):
    check_moved(case["key"], warp.translate_integer(x, case["tx"], case["ty"]))


def run_fractional(case, x):
    check_moved(case["key"], warp.translate_fractional(x, case["tx"], case["ty"]))


def run_rotation(case, x):
    check_moved(case["key"], warp.rotate(x, case["angle"]))
    pseudo = warp.pseudo_rotate(x, case["angle"])
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
def test_pictures_are_moved_as_recorded(case):
    assert case["op"] in RUNNERS, f"no runner for {case['op']!r} ({case['key']})"
    x = picture("input/" + case["input"]) if "input" in case else None
    RUNNERS[case["op"]](case, x)


def recorded(case, kind):
    """Recorded sums [num_samples 2] and motions, one a batch."""
    key, column = case["key"], 2 * list(KINDS).index(kind)
    motion = {"eqt_int": "t_int", "eqt_frac": "t_frac", "eqr": "angle"}[kind]
    motions = arrays()[f"{key}/{motion}"]
    motions = motions[:, 0] if kind == "eqr" else motions
    return arrays()[f"{key}/sums"][:, column : column + 2], list(motions)


def check_sums(found, want):
    np.testing.assert_array_equal(found[:, 1], want[:, 1])
    found, want = (10 * np.log10(sums[:, 0]) for sums in (found, want))
    np.testing.assert_allclose(found, want, atol=0.02)


@pytest.mark.parametrize("case", MEASURED, ids=lambda c: c["key"])
def test_recorded_renders_score_as_recorded(case):
    renders = [picture(f"{case['key']}/batch0/{n}") for n in ("orig", *KINDS.values())]
    amounts = {kind: recorded(case, kind)[1][:1] for kind in KINDS}
    left = iter(renders)
    sums = equivariance.sample_errors(lambda *_: next(left), [None], amounts)
    for kind in KINDS:
        want, _ = recorded(case, kind)
        check_sums(sums[kind], want[: case["batch_size"]])
        db = equivariance.psnr(want)
        assert db == pytest.approx(case["db"][kind], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [case for case in MEASURED if case["config"] in NETWORKS],
    ids=lambda c: c["key"],
)
def test_the_recorded_generator_scores_as_recorded(network):
    config, key = network["config"], network["key"]
    G = generator.make_generator(**published.settings(NETWORKS[config]["G_kwargs"]))
    state = official.Arrays("losses", f"{config}.npz").under("G/")
    variables = jax.tree.map(jnp.asarray, published.variables(state))
    z = np.split(np.float32(arrays()[f"{key}/z"]), 2)
    render = jax.jit(lambda z, transform: G.apply(variables, z, transform=transform))
    amounts = {kind: recorded(network, kind)[1] for kind in KINDS}
    sums = equivariance.sample_errors(render, z, amounts)
    for kind in KINDS:
        check_sums(sums[kind], recorded(network, kind)[0])
        db = equivariance.psnr(sums[kind])
        assert db == pytest.approx(network["db"][kind], abs=0.02)
