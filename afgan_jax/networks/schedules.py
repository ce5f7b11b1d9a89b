"""Bands and sampling rates of the layers, by the names of `schedule`.

Frequencies are cycles and sampling rates pixels in the shorter side of the canvas, so
Nyquist is rate/2. Source: Alias-Free GAN, Sec. 3.2.
"""

import dataclasses
import math

import numpy as np

from afgan_jax import errors, image_size
from afgan_jax.networks import sizes


@dataclasses.dataclass(frozen=True)
class Band:
    """The band a signal occupies: up to `cutoff`, gone at cutoff + half_width."""

    cutoff: float
    half_width: float
    rate: float

    @property
    def stopband(self) -> float:
        """The frequency at which the stopband starts."""
        return self.cutoff + self.half_width


def octave_half_width(rate: float) -> float:
    """f_h of configurations E to H, whose filters are the same in every octave."""
    return (math.sqrt(2) - 1) * rate / 2


def _in_octaves(size: image_size.Size, num_critical: int | None, *_) -> list[Band]:
    """Two layers at each of StyleGAN2's resolutions, one at the first (F to H).

    Critical layers are cut off at Nyquist, the others half_width below it.
    """
    octaves = range(sizes.halvings(size), -1, -1)
    rates = [min(size) / 2**halvings for halvings in octaves for _ in range(2)]
    count = len(rates) - 1  # the first has one layer; the last rate is the image's too
    if num_critical is not None and not 0 < num_critical <= count:
        why = (
            f"is not possible with the {count} layers of schedule='octaves' at"
            f" resolution={image_size.setting(size)}: use 1 to {count}, or none for all"
        )
        raise errors.SettingError("num_critical", num_critical, why)
    bands = []
    for i, rate in enumerate([*rates[1:], rates[-1]]):
        half_width = octave_half_width(rate)
        is_critical = num_critical is None or i >= count - num_critical
        cutoff = rate / 2 if is_critical else rate / 2 - half_width
        bands.append(Band(cutoff, half_width, rate))
    return bands


def _flexible(
    size: image_size.Size,
    num_critical: int | None,
    num_layers: int,
    first_cutoff: float,
    first_stopband: float,
    last_stopband_rel: float,
) -> list[Band]:
    """Cutoff and stopband grow geometrically, up to the image's for the last
    `num_critical` layers (Sec. 3.2, "flexible layers")."""
    if num_critical is None or not 0 < num_critical < num_layers:
        why = f"must be at least 1 and below num_layers={num_layers}"
        raise errors.SettingError("num_critical", num_critical, why)
    resolution = min(size)
    last_cutoff = resolution / 2
    last_stopband = last_cutoff * last_stopband_rel
    exponents = np.minimum(np.arange(num_layers + 1) / (num_layers - num_critical), 1.0)
    cutoffs = first_cutoff * (last_cutoff / first_cutoff) ** exponents
    stopbands = first_stopband * (last_stopband / first_stopband) ** exponents
    rates = [_rate(resolution, min(2 * f, resolution)) for f in stopbands]
    half_widths = np.maximum(stopbands, np.asarray(rates) / 2) - cutoffs
    return [Band(*map(float, band)) for band in zip(cutoffs, half_widths, rates)]


def _rate(resolution: int, least: float) -> float:
    """The smallest rate from `least` up that halving the image's rate gives."""
    return resolution / 2 ** -math.ceil(math.log2(least / resolution))


# name: the arguments of _flexible -> the bands of all layers and of the image.
SCHEDULES = {"flexible": _flexible, "octaves": _in_octaves}
