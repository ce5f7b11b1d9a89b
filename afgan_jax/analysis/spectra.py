"""Average power spectra of batches of uint8 images.

    found = stats(batches)
    power = mean_power(batches, found.mean, found.std).power
    heatmap(power), slices({"reals": power, "fakes": other})

Whiten all sets to compare with the mean and deviation of one of them, usually the real
images. Source: as `signal.spectrum`.
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

from afgan_jax import errors, jax_settings, places
from afgan_jax.metrics import cache
from afgan_jax.metrics import samples as drawing
from afgan_jax.metrics.sharding import BatchSharding
from afgan_jax.model import Label, Model
from afgan_jax.signal import pixels, spectrum
from afgan_jax.viz import plot

HEATMAP_LEVELS = range(-40, 21, 10)  # dB
SLICES_RANGE = (-50, 30)  # dB
AXIS = "cycles in the shorter side"

Images = UInt8[np.ndarray | jax.Array, "_N _H _W _C"]


class Stats(NamedTuple):
    """Mean and standard deviation by channel of `count` images, in 0 .. 255."""

    count: int
    mean: Float64[np.ndarray, " C"]
    std: Float64[np.ndarray, " C"]

    def overall(self) -> tuple[float, float]:
        """(mean, deviation) of all channels together, as published."""
        mean = self.mean.mean()
        variance = np.mean(self.std**2 + self.mean**2) - mean**2
        return float(mean), float(np.sqrt(variance))


class Spectrum(NamedTuple):
    """Mean power of `count` images whitened by mean and std; see `mean_power`."""

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
    labels: Label | None = None,
    batch: int = 16,
) -> Iterator[Images]:
    """Batches of `count` samples; labels: as in `samples.of_model`."""
    network = drawing.of_model(model, labels)
    return drawing.drawn(network, BatchSharding.over(batch), count, pixels.to_uint8)


def stats(batches: Iterable[Images]) -> Stats:
    """Mean and deviation over all pixels of all images, with sums of integers."""
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


@jax_settings.fixed()
def mean_power(
    batches: Iterable[Images],
    mean: Float64[np.ndarray, " K"],
    std: Float64[np.ndarray, " K"],
    *,
    beta: Real = 8.0,
    interp: int = 4,
) -> Spectrum:
    """The mean of `spectrum.power` of (images - mean) / std.

    mean, std: of each channel (K = C) or of all (K = 1), in 0 .. 255. beta: of the
    Kaiser window. interp: spectrum samples for each image sample. Batches may differ
    in size. Raises ValueError if std is 0, or there are no images.
    """
    if not np.all(std > 0):
        why = "must be positive: use a set with contrast"
        raise errors.SettingError("std", std.tolist(), why)
    count, total = 0, 0.0
    for images in batches:
        if len(mean) not in (1, images.shape[3]):
            raise ValueError(
                f"mean and std have {len(mean)} channels, the images {images.shape[3]}:"
                " compare sets with the same channels"
            )
        scale = (np.float32(a)[None, None, None] for a in (mean, std))
        found = _power(*jax.device_put((images, *scale)), beta=beta, interp=interp)
        total = total + len(images) * np.float64(jax.device_get(found))
        count += len(images)
    if not count:
        raise ValueError("there are no images")
    return Spectrum(total / count, count, mean, std, beta, interp)


def heatmap(
    power: spectrum.Spectrum, *, interp: int = 4, smooth: float = 1.25, title: str = ""
) -> plot.Figure:
    """A spectrum in dB, blurred by `smooth` samples."""
    return plot.heatmap(
        spectrum.decibels(power, smooth=smooth),
        *(spectrum.frequencies(n, interp, min(power.shape)) for n in power.shape),
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
    """Spectra by name in dB at 0 and 45 degrees; interp: of all, or of each."""
    panels = {"0 degrees": {}, "45 degrees": {}}
    for name, power in powers.items():
        each = interp if isinstance(interp, int) else interp[name]
        curves = spectrum.slices(spectrum.decibels(power, smooth=smooth), each)
        for panel, curve in zip(panels.values(), curves.values()):
            panel[name] = curve
    return plot.curve_panels(panels, xlabel=AXIS, ylabel="dB", ylim=SLICES_RANGE)


def short_names(files: Sequence[str]) -> dict[str, str]:
    """{name: file} with the files' names, after their folders' if any are equal.

    Raises ValueError if those are equal, too.
    """
    paths = [Path(file).absolute().with_suffix("") for file in files]
    for names in (
        [p.name for p in paths],
        [f"{p.parent.name}/{p.name}" for p in paths],
    ):
        if len(set(names)) == len(files):
            return dict(zip(names, files))
    raise ValueError(f"{', '.join(files)} need different names")


def read(path: str, part: str, wanted: tuple) -> dict:
    """The arrays of an npz. Raises ValueError unless `spectra PART` wrote it."""
    path = places.local(path)
    problem = f"{path} is not a file that `spectra {part}` wrote"
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{problem}: {'no npz' if path.exists() else 'missing'}")
    try:
        data = cache.arrays_in(path)
        if set(wanted) <= set(data):
            return data
        names = ", ".join(list(data)[:5])
    except cache.DAMAGED as error:
        raise ValueError(f"{problem}: {error}".partition("\n")[0]) from None
    raise ValueError(f"{problem}: it holds {names or 'nothing'}")


@functools.partial(jax.jit, static_argnames=("beta", "interp"))
def _power(images, mean, std, *, beta, interp):
    def add(total, image):  # one at a time, as padded images of 1024 pixels are large
        white = (image[None].astype(jnp.float32) - mean) / std
        return total + spectrum.power(white, beta=beta, interp=interp), None

    size = [interp * n for n in images.shape[1:3]]
    total, _ = jax.lax.scan(add, jnp.zeros(size, jnp.float32), images)
    return total / len(images)
