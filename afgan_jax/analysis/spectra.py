"""Average power spectra of many images, which come in batches of bytes.

All sets that are to be compared are whitened with the mean and deviation of one of
them, usually the real pictures. Source: as `signal.spectrum`.
"""

import functools
from collections.abc import Iterable
from numbers import Real
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int, UInt8

from afgan_jax.signal import spectrum

Images = UInt8[np.ndarray | jax.Array, "_N _H _W _C"]


class Stats(NamedTuple):
    """Mean and standard deviation by channel of `count` images, in bytes' units."""

    count: int
    mean: Float64[np.ndarray, " C"]
    std: Float64[np.ndarray, " C"]

    def overall(self) -> tuple[float, float]:
        """(mean, deviation) of all channels as one, as the published program has it."""
        mean = self.mean.mean()
        return float(mean), float(
            np.sqrt(np.mean(self.std**2 + self.mean**2) - mean**2)
        )


def stats(batches: Iterable[Images]) -> Stats:
    """Mean and deviation over all pixels of all images, exact in sums."""
    count = pixels = 0
    sums: Int[np.ndarray, "2 C"] | int = 0
    for images in batches:
        x = np.asarray(images).astype(np.int64)
        sums = sums + np.stack([x.sum(axis=(0, 1, 2)), (x**2).sum(axis=(0, 1, 2))])
        count, pixels = count + len(x), pixels + x[..., 0].size
    if not count:
        raise ValueError("spectra: there are no images")
    mean, square = sums / pixels
    return Stats(count, mean, np.sqrt(np.maximum(square - mean**2, 0)))


def mean_power(
    batches: Iterable[Images],
    mean: Float64[np.ndarray, " K"],
    std: Float64[np.ndarray, " K"],
    *,
    beta: Real = 8.0,
    interp: int = 4,
) -> tuple[int, spectrum.Spectrum]:
    """(number of images, mean of `spectrum.power` of (images - mean) / std).

    mean and std are of every channel (K = C) or one of all (K = 1), in bytes' units.
    Batches may differ in size; each is weighed by its images. Raises ValueError if
    std is 0, or there are no images.
    """
    if not np.all(std > 0):
        raise ValueError(
            f"std={std.tolist()} must be positive: the set has no contrast"
        )
    count, total = 0, 0.0
    for images in batches:
        _check_channels(images.shape[3], mean)
        scale = np.float32(mean), np.float32(std)
        found = _power(jnp.asarray(images), *scale, beta=beta, interp=interp)
        total = total + len(images) * np.asarray(found, np.float64)
        count += len(images)
    if not count:
        raise ValueError("spectra: there are no images")
    return count, total / count


@functools.partial(jax.jit, static_argnames=("beta", "interp"))
def _power(images, mean, std, *, beta, interp):
    def add(total, image):  # one at a time: padded images of 1024 pixels are large
        white = (image[None] - mean) / std
        return total + spectrum.power(white, beta=beta, interp=interp), None

    size = [interp * n for n in images.shape[1:3]]
    total, _ = jax.lax.scan(add, jnp.zeros(size), images)
    return total / len(images)


def _check_channels(channels: int, mean) -> None:
    if len(mean) not in (1, channels):
        raise ValueError(
            f"the mean and deviation are of {len(mean)} channels, the images have"
            f" {channels}: compare sets of the same channels"
        )
