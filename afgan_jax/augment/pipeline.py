"""Augmentation of a batch: geometry, colour, octave bands, noise, holes, in this order.

PRESETS name sets of transforms. Results are float32 at least, affine in the images and
differentiable to any order.

Source: Training Generative Adversarial Networks with Limited Data, App. B.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Float

from afgan_jax import errors
from afgan_jax.augment import color, corruption, draws, geometry
from afgan_jax.signal import precision

_BLIT = ("xflip", "rotate90", "xint")
_GEOM = ("scale", "rotate", "aniso", "xfrac")
_COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
_BGC = _BLIT + _GEOM + _COLOR
PRESETS = {
    "blit": _BLIT,
    "geom": _GEOM,
    "color": _COLOR,
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
    "bg": _BLIT + _GEOM,
    "bgc": _BGC,
    "bgcf": (*_BGC, "imgfilter"),
    "bgcfn": (*_BGC, "imgfilter", "noise"),
    "bgcfnc": (*_BGC, "imgfilter", "noise", "cutout"),
}


def make_multipliers(
    preset: str = "bgc", changes: Mapping | None = None
) -> draws.Multipliers:
    """{transform: 1 if in the preset, else 0}, with `changes`; names: draws.NAMES.

    A transform happens with probability multiplier * p; imgfilter also takes a tuple,
    one for each of its 4 bands. Raises SettingError for unknown names and impossible
    values.
    """
    errors.check_known("augment.preset", preset, PRESETS)
    for name, value in (changes or {}).items():
        if name not in draws.NAMES:
            why = f"has an unknown name: use some of {', '.join(draws.NAMES)}"
            raise errors.SettingError("augment.multipliers", {name: value}, why)
        _check_multiplier(name, value)
    return {n: float(n in PRESETS[preset]) for n in draws.NAMES} | dict(changes or {})


def apply(
    chance: draws.Draws,
    multipliers: draws.Multipliers,
    images: Float[Array, "N H W C"],
    p: float | Float[Array, ""],
) -> Float[Array, "N H W C"]:
    """Images augmented at strength p with the draws `chance`; p = 0 resamples only."""
    values = draws.decide(chance, multipliers, p)
    images = images.astype(precision.wide(images.dtype))
    matrix = geometry.look_up_matrix(values, images.shape[1:3])
    if matrix is not None:
        images = geometry.warp_images(images, matrix)
    matrix = color.color_matrix(values, images.shape[3])
    if matrix is not None:
        images = color.recolor(images, matrix)
    if "imgfilter" in values:
        gains = corruption.band_gains(values["imgfilter"])
        images = corruption.filter_bands(images, gains)
    if "noise" in values:
        images = corruption.add_noise(images, values["noise"], chance.noise)
    if "cutout" in values:
        images = corruption.cut_out(images, values["cutout"])
    return images


def check_images(
    multipliers: draws.Multipliers, size: tuple[int, int], channels: int
) -> None:
    """Raises ValueError for images that an active transform cannot take."""
    on = draws.active(multipliers)
    colors = [name for name in color.STEPS if name in on]
    if colors and channels not in color.CHANNELS:
        raise ValueError(
            f"augment: {colors[0]} needs images of 1, 3 or 4 channels, not {channels}:"
            " set augment.preset to bg"
        )
    if "imgfilter" in on and min(size) <= corruption.reach():
        raise ValueError(
            f"augment: imgfilter needs images of more than {corruption.reach()} pixels"
            f" a side, not {size[1]}x{size[0]}: set augment.preset to bgc"
        )


def _check_multiplier(name: str, value) -> None:
    numbers = np.atleast_1d(value)
    count = draws.TRANSFORMS[name].shape[1] if name in draws.TRANSFORMS else 1
    if numbers.dtype.kind not in "fiu" or numbers.shape not in ((1,), (count,)):
        fault = f"must be a number{f' or {count}' if count > 1 else ''}"
    elif not (np.isfinite(numbers) & (numbers >= 0)).all():
        fault = "must be at least 0 and finite"
    else:
        return
    raise errors.SettingError("augment.multipliers", {name: value}, fault)
