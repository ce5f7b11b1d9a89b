"""Flips, shifts, rotations and scalings as one band-limited look-up of each image.

A matrix maps output to input positions in pixels, the image centre at 0. The image is
extended by reflection, upsampled by 2, looked up bilinearly and downsampled by 2. Both
filters are the low-pass h of the symlet of 6 moments: details neither blur nor alias.

The published program reflects as far as the batch needs, at most size - 1 pixels on
each side, and upsamples the result. Here shapes are fixed, as jit needs: the image and
its mirror images are upsampled separately, and positions beyond a border are looked up
in a mirror image, for size - 1 pixels; further out is 0, as published. The results
agree except near those zeros (in images shrunk to a half), whose edge is sharper here.
No image depends on the others of its batch.

Source: Training Generative Adversarial Networks with Limited Data, App. B.
"""

import dataclasses
import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.augment import draws
from afgan_jax.signal import affine, resample, warp, wavelets

Size = tuple[int, int]  # (H, W)


# Functions of (H, W) and the values. The last acts first on an output position.
STEPS = {
    "xflip": lambda size, i: affine.scaling(1 - 2 * i, 1),
    "rotate90": lambda size, i: affine.rotation(i * (math.pi / 2)),
    "xint": lambda size, x, y: affine.translation(
        -jnp.round(x * size[1]), -jnp.round(y * size[0])
    ),
    "scale": lambda size, s: affine.scaling(1 / s, 1 / s),
    "rotate_pre": lambda size, theta: affine.rotation(theta),
    "aniso": lambda size, s: affine.scaling(1 / s, s),
    "rotate_post": lambda size, theta: affine.rotation(theta),
    "xfrac": lambda size, x, y: affine.translation(-x * size[1], -y * size[0]),
}


def look_up_matrix(values: draws.Values, size: Size) -> Float[Array, "N 3 3"] | None:
    """Output to input positions in pixels; None if none of STEPS is in the values."""
    matrices = [step(size, *values[n].T) for n, step in STEPS.items() if n in values]
    return affine.compose(*matrices) if matrices else None


def warp_images(
    images: Float[Array, "N H W C"], matrix: Float[Array, "N 3 3"]
) -> Float[Array, "N H W C"]:
    """Images looked up at matrix @ position; linear in the images."""
    h, w = images.shape[1:3]
    rows, cols = _positions(matrix, (h, w))
    rows, mirrored_y, beyond_y = _fold(rows, h)
    cols, mirrored_x, beyond_x = _fold(cols, w)
    # One below the other: a row and a column address any of the four.
    kinds = [(False, False), (False, True), (True, False), (True, True)]
    x = jnp.concatenate([_upsample(images, kind) for kind in kinds], axis=1)
    kind = 2 * mirrored_y.astype(jnp.int32) + mirrored_x.astype(jnp.int32)
    rows = rows + (kind * (2 * h)).astype(rows.dtype)
    x = warp.sample_bilinear(x, jnp.where(beyond_y | beyond_x, -9, rows), cols)
    return resample.upfirdn(x, low_pass()[::-1], down=2, pad=-1)


@functools.cache
def low_pass() -> np.ndarray:
    """h, [12]."""
    return wavelets.symlet(6)


def _positions(matrix, size: Size):
    """Rows and columns [N 2H+12 2W+12] to look up in the upsampled image.

    The low-pass that follows takes 6 pixels from each side.
    """
    # The first of two upsampled pixels lies half of one beside the original's centre.
    before, after = affine.translation(-0.5, -0.5), affine.translation(0.5, 0.5)
    doubled = affine.compose(
        before, affine.scaling(2, 2), matrix, affine.scaling(0.5, 0.5), after
    )
    margin = low_pass().size // 2
    numbers = (jnp.arange(-margin, 2 * n + margin, dtype=jnp.int32) for n in size)
    y, x = (i.astype(doubled.dtype) + 0.5 - n for i, n in zip(numbers, size))
    m = doubled[:, :2, :, None, None]
    x, y = x[None, None], y[None, :, None]
    cols, rows = (m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] for i in (0, 1))
    return rows + size[0] - 0.5, cols + size[1] - 0.5


def _fold(positions, size: int):
    """(positions inside the image, whether in its mirror image, whether beyond both).

    `size` is that of the axis before upsampling; its last pixel is at 2 (size - 1).
    """
    last = 2 * (size - 1)
    mirrored = (positions < 0) | (positions > last)
    beyond = (positions <= -last - 1) | (positions >= 2 * last + 2)
    inside = jnp.abs(positions)
    return jnp.where(inside > last, 2 * last - inside, inside), mirrored, beyond


def _upsample(images, mirrored: tuple[bool, bool]):
    """Images at twice the rate, [N 2H 2W C]; `mirrored` is (vertical, horizontal).

    Along a mirrored axis this is the upsampled mirror image, read backwards: the filter
    is not symmetric and is reversed.
    """
    margin = low_pass().size // 4
    border = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    x = jnp.pad(images, border, mode="reflect")
    pad = tuple((-1, 0) if m else (0, -1) for m in mirrored)
    spec = resample.make_resampling(x.shape[1:3], low_pass(), up=2, pad=pad, gain=4)
    taps = tuple(row[::-1] if m else row for row, m in zip(spec.taps, mirrored))
    return resample.apply(dataclasses.replace(spec, taps=taps), x)
