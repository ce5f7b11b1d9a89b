"""Flips, shifts, rotations and scalings as one band-limited look-up of each image.

A matrix maps output to input positions in pixels, the image centre at 0. The image is
continued by reflection, upsampled by 2, looked up bilinearly and downsampled by 2, both
with the low-pass h of the symlet of 6 moments: details neither blur nor alias.

The published program reflects as far as the batch at hand needs, at most size - 1
pixels on each side; under jit it is always size - 1, and what lies further is 0 as
there. The results agree, but where a picture shrinks to a half: there the published
margins are a little short. No image depends on the others of its batch.

Source: Training Generative Adversarial Networks with Limited Data, App. B.
"""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.augment import draws
from afgan_jax.signal import affine, resample, warp, wavelets

Size = tuple[int, int]  # (H, W)


def _flip(values, size: Size):
    (i,) = values.T
    return affine.scaling(1 - 2 * i, 1)


def _quarter_turns(values, size: Size):
    (i,) = values.T
    return affine.rotation(i * (math.pi / 2))


def _shift_whole(values, size: Size):
    x, y = values.T
    return affine.translation(-jnp.round(x * size[1]), -jnp.round(y * size[0]))


def _shift(values, size: Size):
    x, y = values.T
    return affine.translation(-x * size[1], -y * size[0])


def _scale(values, size: Size):
    (s,) = values.T
    return affine.scaling(1 / s, 1 / s)


def _stretch(values, size: Size):
    (s,) = values.T
    return affine.scaling(1 / s, s)


def _rotate(values, size: Size):
    (theta,) = values.T
    return affine.rotation(theta)


# The first acts last on an output position.
STEPS = {
    "xflip": _flip,
    "rotate90": _quarter_turns,
    "xint": _shift_whole,
    "scale": _scale,
    "rotate_pre": _rotate,
    "aniso": _stretch,
    "rotate_post": _rotate,
    "xfrac": _shift,
}


def look_up_matrix(values: draws.Values, size: Size) -> Float[Array, "N 3 3"] | None:
    """Output to input positions in pixels; None if no step is among the values."""
    matrices = [step(values[n], size) for n, step in STEPS.items() if n in values]
    return affine.compose(*matrices) if matrices else None


def warp_images(
    images: Float[Array, "N H W C"], matrix: Float[Array, "N 3 3"]
) -> Float[Array, "N H W C"]:
    """Images looked up at matrix @ position; linear in the images."""
    h, w = images.shape[1:3]
    taps = low_pass()
    half = taps.size // 4  # the filter's reach in pixels of the image, one side
    border = ((0, 0), (h - 1, h - 1), (w - 1, w - 1), (0, 0))
    x = jnp.pad(images, border, mode="reflect")
    x = resample.upfirdn(x, taps, up=2, pad=(2 * half, 2 * half - 1), gain=4)
    rows, cols = _positions(matrix, (h + 2 * half, w + 2 * half), x.shape[1:3])
    x = warp.sample_bilinear(x, rows, cols)
    return resample.upfirdn(x, taps[::-1], down=2, pad=-1)


@functools.cache
def low_pass() -> np.ndarray:
    """h, [12]."""
    return wavelets.symlet(6)


def _positions(matrix, size_out: Size, size_in: Size):
    """Rows and columns [N 2H 2W] to read, of an image of twice the rate."""
    # The first sample of a pair lies half a pixel of the doubled rate off its place.
    before, after = affine.translation(-0.5, -0.5), affine.translation(0.5, 0.5)
    doubled = affine.compose(
        before, affine.scaling(2, 2), matrix, affine.scaling(0.5, 0.5), after
    )
    y, x = (jnp.arange(2 * n) + 0.5 - n for n in size_out)
    m = doubled[:, :2, :, None, None]
    cols, rows = (m[:, i, 0] * x + m[:, i, 1] * y[:, None] + m[:, i, 2] for i in (0, 1))
    return rows + (size_in[0] - 1) / 2, cols + (size_in[1] - 1) / 2
