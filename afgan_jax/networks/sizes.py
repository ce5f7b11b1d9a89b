"""Sizes of the maps of networks that make or judge images of any shape.

A sampling rate is in pixels of the image's shorter side.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array

from afgan_jax import errors
from afgan_jax.image_size import Size


def halvings(size: Size) -> int:
    """How often the shorter side can be halved until it is 4 to 8 pixels, without 8."""
    return int(math.log2(min(size) / 4))


def at(size: Size, halvings: int, exact: int) -> Size:
    """The map that covers an image of this size at a rate halved so many times.

    A side that can be halved `exact` times without remainder is; of another the map has
    the least even number of pixels that cover it, at the same centre.
    """
    factor = 2**halvings
    return tuple(
        n // factor if n % 2**exact == 0 else 2 * math.ceil(n / factor / 2)
        for n in size
    )


def canvas(size: Size, rate: float) -> tuple[float, float]:
    """The image at a sampling rate: whole numbers of samples, or not."""
    h, w = (n * (rate / min(size)) for n in size)
    return h, w


def octaves(size: Size) -> list[Size]:
    """The maps at each of the rates from about 4 pixels to those of the image."""
    count = halvings(size)
    return [at(size, k, exact=count) for k in range(count, -1, -1)]


def check_channels(size: Size, channel_base: int) -> None:
    """Raises SettingError if channel_base // n is 0 for maps of n pixels."""
    if channel_base < min(size):
        why = f"leaves layers without channels: give at least {min(size)}"
        raise errors.SettingError("channel_base", channel_base, why)


def crop(x: Array, size: Size) -> Array:
    """The middle of maps [N H W C], of this size."""
    top, left = ((n - m) // 2 for n, m in zip(x.shape[1:3], size, strict=True))
    return x[:, top : top + size[0], left : left + size[1]]


def pad(x: Array, size: Size) -> Array:
    """Maps [N H W C] with zeros around them, of this size."""
    more = [m - n for n, m in zip(x.shape[1:3], size, strict=True)]
    if not any(more):
        return x
    around = [(n // 2, n - n // 2) for n in more]
    return jnp.pad(x, [(0, 0), *around, (0, 0)])
