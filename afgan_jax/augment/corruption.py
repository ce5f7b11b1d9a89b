"""Octave-band filters, noise and holes.

Source: Training Generative Adversarial Networks with Limited Data, App. B.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.signal import wavelets

Images = Float[Array, "N H W C"]

# Share of each band in the power of natural images, by 1/f; gains keep the total.
_POWER = np.array([10, 1, 1, 1]) / 13
HOLE = 0.5  # side of a hole, relative to the image's


@functools.cache
def bands() -> np.ndarray:
    """Zero-phase filters of 4 octave bands, the lowest first, [4 43]; sum: impulse."""
    return wavelets.analysis_bank(moments=2, levels=3)


def reach() -> int:
    """Pixels that the filters need beyond each border; images must be larger."""
    return bands().shape[1] // 2


def band_gains(factors: Float[Array, "N 4"]) -> Float[Array, "N 4"]:
    """Gain of each band after scaling band i by factor i, one band after another.

    After each, all bands are scaled so that a natural image keeps its power.
    """
    gains, share = jnp.ones_like(factors), jnp.asarray(_POWER[None], factors.dtype)
    for i in range(factors.shape[1]):
        scaled = jnp.ones_like(factors).at[:, i].set(factors[:, i])
        power = jnp.sum(share * jnp.square(scaled), axis=1, keepdims=True)
        gains = gains * scaled / jnp.sqrt(power)
    return gains


def filter_bands(images: Images, gains: Float[Array, "N 4"]) -> Images:
    """Images with octave bands scaled along both axes, reflected at the borders."""
    margin = reach()
    taps = jnp.matmul(gains, bands().astype(gains.dtype), precision="highest")
    border = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    x = jnp.pad(images, border, mode="reflect")
    for axis, subscripts in ((1, "noj,njwc->nowc"), (2, "noj,nhjc->nhoc")):
        rows = _sliding(taps, images.shape[axis])
        x = jnp.einsum(subscripts, rows, x, precision="highest")
    return x


def add_noise(images: Images, sigma: Float[Array, "N 1"], normal: Images) -> Images:
    """Images plus sigma * normal."""
    return images + sigma[:, :, None, None] * normal


def cut_out(images: Images, center: Float[Array, "N 2"]) -> Images:
    """Images with a square hole of zeros around center (x, y), in image sizes."""
    h, w = images.shape[1:3]
    x, y = (
        jnp.abs((_numbers(n, c.dtype) + 0.5) / n - c[:, None])
        for n, c in zip((w, h), center.T)
    )
    hole = (y < HOLE / 2)[:, :, None] & (x < HOLE / 2)[:, None, :]
    return jnp.where(hole[..., None], 0, images)


def _numbers(count: int, dtype):
    """0 to count - 1, [1 count]."""
    return jnp.arange(count, dtype=jnp.int32).astype(dtype)[None]


def _sliding(taps, size: int):
    """[N size size+K-1]: row o has the taps of each image from column o on."""
    k = taps.shape[1]
    offset = np.arange(size + k - 1) - np.arange(size)[:, None]
    inside = (offset >= 0) & (offset < k)
    return jnp.where(inside[None], taps[:, np.clip(offset, 0, k - 1)], 0)
