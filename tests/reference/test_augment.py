"""Every recorded augmentation: results, gradients, and what led to them.

Draws recorded one by one are put back in their places; "percentile" cases fix them all.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.augment import color, corruption, draws, geometry, pipeline
from reference import official

INDEX = official.index("augment")
CASES = INDEX["cases"]
KINDS = {"recorded_draws", "debug_percentile"}
TOLERANCE = 3e-5  # of images and gradients; float32 alone accounts for 1e-5
EXACT = 2e-6  # of matrices and gains: some roundings of float32


@functools.cache
def arrays() -> official.Arrays:
    return official.Arrays("augment", "augment.npz")


def multipliers(case) -> tuple[tuple, ...]:
    """The recorded keyword arguments as ours, of which the rest is off."""
    given = dict(case["kwargs"])
    bands = given.pop("imgfilter_bands", None)
    if bands is not None:
        given["imgfilter"] = tuple(b * given["imgfilter"] for b in bands)
    official.only(given, draws.NAMES, f"settings of {case['key']}:")
    return tuple(sorted(({n: 0 for n in draws.NAMES} | given).items()))


def recorded_draws(case, shape) -> draws.Draws:
    """In rows [N values]; the gates of the bands side by side."""
    found = arrays().under(f"{case['key']}/draw/")
    assert set(case["draw_order"]) == set(found)
    noise = found.pop("noise.image_n", None)
    values, gates = {}, {}
    for name, a in found.items():
        row, kind = name.split(".")
        if row.startswith("imgfilter"):
            row = "imgfilter"
        side = gates if kind == "gate_u" else values
        columns = [side[row]] if row in side else []
        side[row] = np.concatenate([*columns, a.reshape(shape[0], -1)], axis=1)
    return jax.tree.map(
        jnp.asarray,
        draws.Draws(values, gates, None if noise is None else official.nhwc(noise)),
    )


def chance(case, shape) -> draws.Draws:
    official.only([case["kind"]], KINDS, "augmentation of kind")
    if case["kind"] == "recorded_draws":
        return recorded_draws(case, shape)
    key = f"{case['key']}/noise_normal"
    noise = official.nhwc(arrays()[key]) if key in arrays() else np.zeros(shape)
    return at_percentile(
        case["percentile"], dict(multipliers(case)), jnp.asarray(noise, jnp.float32)
    )


def at_percentile(q: float, multipliers: draws.Multipliers, noise) -> draws.Draws:
    """Draws by which every transform happens, at the value of one "percentile" q.

    Normal ones are erfinv(2q - 1), without the root of 2 that a true quantile has; that
    of noise, which is symmetric, is erfinv(q). The second rotation is by 0.
    """
    on = draws.active(multipliers)
    erfinv = jax.scipy.special.erfinv
    middle = {draws.UNIFORM: q, draws.NORMAL: erfinv(2 * q - 1)}
    of_row = {row: middle[t.draw] for row, t in on.items()}
    of_row |= {"rotate_post": 0.5, "noise": erfinv(q)}
    count = noise.shape[0]
    return draws.Draws(
        {row: jnp.full((count, t.shape[0]), of_row[row]) for row, t in on.items()},
        {row: jnp.zeros((count, t.shape[1])) for row, t in on.items()},
        noise,
    )


@functools.partial(jax.jit, static_argnums=0)
def run(multipliers, chance, images, weights, p):
    """The augmented images, the gradient of their weighted sum, and the stages."""

    def total(images):
        out = pipeline.apply(chance, dict(multipliers), images, p)
        return jnp.sum(out * weights), out

    gradient, out = jax.grad(total, has_aux=True)(images)
    values = draws.decide(chance, dict(multipliers), p)
    stages = {name: stage(values, images.shape) for name, stage in STAGES.items()}
    return {"out": out, "grad": gradient} | stages


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["key"])
def test_augmentation_gives_the_recorded_images_and_gradients(case):
    images, weights = (
        jnp.asarray(official.nhwc(arrays()[f"{kind}/{case['input']}"]))
        for kind in ("input", "R")
    )
    given = chance(case, images.shape)
    recorded = arrays().under(f"{case['key']}/")
    found = run(multipliers(case), given, images, weights, case["p"])
    assert {name.split("/")[0] for name in recorded} - ELSEWHERE <= found.keys()
    if "cutout_center" in recorded:
        cut = recorded["cutout_size"] > 0
        assert np.all(np.where(cut, corruption.HOLE, 0) == recorded["cutout_size"])
        # Whole images have no hole here, and one of no size there.
        found["cutout_center"] = np.where(
            cut, found["cutout_center"], recorded["cutout_center"]
        )
    for name in recorded.keys() & found.keys():
        bound = EXACT if name in STAGES else TOLERANCE
        official.assert_close(official.nchw(found[name]), recorded[name], bound, name)


# Recorded draws, and stages that are different here (the margins of the reflection) or
# of one value only (the size of holes).
ELSEWHERE = {"draw", "noise_normal", "margins_x0y0x1y1", "cutout_size"}
STAGES = {
    "G_inv": lambda v, shape: geometry.look_up_matrix(v, shape[1:3]),
    "C": lambda v, shape: color.color_matrix(v, shape[3]),
    "band_gains": lambda v, shape: (
        corruption.band_gains(v["imgfilter"]) if "imgfilter" in v else None
    ),
    "noise_sigma": lambda v, shape: v["noise"][:, 0] if "noise" in v else None,
    "cutout_center": lambda v, shape: v["cutout"] if "cutout" in v else None,
}


# The recorded low-pass comes from a printed table, of 7 digits.
FILTERS = {"Hz_geom": (geometry.low_pass, 1e-7), "Hz_fbank": (corruption.bands, 1e-12)}


@pytest.mark.parametrize("name", FILTERS if CASES else ())
def test_filters_have_the_recorded_taps(name):
    design, tolerance = FILTERS[name]
    recorded = arrays().under("filters/")
    official.assert_close(design(), recorded[name], tolerance, name)
