"""Average power spectra of many images, which come in batches of bytes.

    found = stats(batches)
    power = mean_power(batches, found.mean, found.std).power
    heatmap(power), slices({"reals": power, "fakes": other})

All sets that are to be compared are whitened with the mean and deviation of one of
them, usually the real images. Source: as `signal.spectrum`.
"""

import functools
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int, UInt8

from afgan_jax.metrics import samples as drawing
from afgan_jax.metrics.sharding import BatchSharding
from afgan_jax.model import Label, Model
from afgan_jax.signal import pixels, spectrum
from afgan_jax.viz import plot

HEATMAP_LEVELS = range(-40, 21, 10)  # dB
SLICES_RANGE = (-50, 30)  # dB
AXIS = "cycles per image width"

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


class Spectrum(NamedTuple):
    """Mean power of `count` images whitened by mean and std, of interp samples each."""

    power: spectrum.Spectrum
    count: int
    mean: Float64[np.ndarray, " K"]
    std: Float64[np.ndarray, " K"]
    beta: Real
    interp: int


def drawn(
    model: Model,
    count: int,
    *,
    labels: Label | Float64[np.ndarray, "M c_dim"] | None = None,
    batch: int = 16,
) -> Iterator[Images]:
    """Batches of `count` samples of a model; labels: one for all, or to draw from."""
    network = drawing.of_model(model, labels)
    return drawing.drawn(network, BatchSharding.over(batch), count, pixels.to_uint8)


def stats(batches: Iterable[Images]) -> Stats:
    """Mean and deviation over all pixels of all images, exact in sums."""
    count = pixels = 0
    sums: Int[np.ndarray, "2 C"] | int = 0
    for images in batches:
        x = np.asarray(images).astype(np.int64)
        sums = sums + np.stack([x.sum(axis=(0, 1, 2)), (x**2).sum(axis=(0, 1, 2))])
        count, pixels = count + len(x), pixels + x[..., 0].size
    if not count:
        raise ValueError("there are no images")
    mean, square = sums / pixels
    return Stats(count, mean, np.sqrt(np.maximum(square - mean**2, 0)))


def mean_power(
    batches: Iterable[Images],
    mean: Float64[np.ndarray, " K"],
    std: Float64[np.ndarray, " K"],
    *,
    beta: Real = 8.0,
    interp: int = 4,
) -> Spectrum:
    """The mean of `spectrum.power` of (images - mean) / std.

    mean and std are of every channel (K = C) or one of all (K = 1), in bytes' units.
    beta: of the Kaiser window. interp: samples of the spectrum a sample of the image.
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
        raise ValueError("there are no images")
    return Spectrum(total / count, count, mean, std, beta, interp)


def heatmap(
    power: spectrum.Spectrum, *, interp: int = 4, smooth: float = 1.25, title: str = ""
) -> plot.Figure:
    """A spectrum in dB, blurred by so many samples."""
    return plot.heatmap(
        spectrum.decibels(power, smooth=smooth),
        spectrum.frequencies(len(power), interp),
        levels=HEATMAP_LEVELS,
        label=AXIS,
        unit="dB",
        title=title,
    )


def slices(
    powers: Mapping[str, spectrum.Spectrum],
    *,
    interp: int | Mapping[str, int] = 4,
    smooth: float = 0.0,
) -> plot.Figure:
    """Spectra by name in dB at 0 and at 45 degrees; interp: of all, or of each."""
    panels = {"0 degrees": {}, "45 degrees": {}}
    for name, power in powers.items():
        each = interp if isinstance(interp, int) else interp[name]
        curves = spectrum.slices(spectrum.decibels(power, smooth=smooth), each)
        for panel, curve in zip(panels.values(), curves.values()):
            panel[name] = curve
    return plot.curve_panels(panels, xlabel=AXIS, ylabel="dB", ylim=SLICES_RANGE)


def short_names(files: Sequence[str]) -> dict[str, str]:
    """{short name: file}: names of files, with their folders' where those are alike.

    Raises ValueError for files whose folders have one name, too.
    """
    stems = [Path(file).stem for file in files]
    if len(set(stems)) < len(files):
        stems = [
            f"{Path(file).absolute().parent.name}/{Path(file).stem}" for file in files
        ]
    if len(set(stems)) < len(files):
        raise ValueError(f"{', '.join(files)} need different names")
    return dict(zip(stems, files))


def read(path: str, part: str, wanted: tuple) -> dict:
    """The arrays of an npz. Raises ValueError if it is not what the part wrote."""
    problem = f"{path} is not a file that `spectra {part}` wrote"
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{problem}: {'no npz' if Path(path).exists() else 'missing'}")
    with np.load(path) as data:
        if not set(wanted) <= set(data):
            raise ValueError(
                f"{problem}: it holds {', '.join(list(data)[:5]) or 'nothing'}"
            )
        return dict(data)


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
