"""Bands and sampling rates of the layers, by the names of `schedule`.

Frequencies are cycles per canvas width and sampling rates pixels per canvas width, so
Nyquist is rate/2. Source: Alias-Free GAN, Sec. 3.2.
"""

import dataclasses
import math

import numpy as np

from afgan_jax import errors

RESOLUTIONS = 16, 8192  # least and greatest, in pixels


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


def octaves(resolution: int) -> list[int]:
    """4, 8, .. resolution: the sizes of StyleGAN2's blocks; the first is 4 to 7.

    Raises SettingError if halving the resolution does not lead there.
    """
    sizes = [resolution]
    while sizes[0] % 2 == 0 and sizes[0] >= 8:
        sizes.insert(0, sizes[0] // 2)
    least, most = RESOLUTIONS
    if not (least <= resolution <= most and 4 <= sizes[0] <= 7):
        why = (
            "is not supported: choose 4, 5, 6 or 7 times a power of two, from"
            f" {least} to {most} (such as 64, 96 or 256)"
        )
        raise errors.SettingError("resolution", resolution, why)
    return sizes


def octave_half_width(rate: float) -> float:
    """f_h of configurations E to H, whose filters are the same in every octave."""
    return (math.sqrt(2) - 1) * rate / 2


def check_resolution(resolution: int) -> None:
    """Raises SettingError outside RESOLUTIONS."""
    least, most = RESOLUTIONS
    if not least <= resolution <= most:
        why = f"is not supported: choose {least} to {most} pixels"
        raise errors.SettingError("resolution", resolution, why)


def _in_octaves(resolution: int, num_critical: int | None, *_) -> list[Band]:
    """Two layers at each of StyleGAN2's resolutions, one at the first (F to H).

    Critical layers are cut off at Nyquist, the others half_width below it.
    """
    rates = [float(rate) for rate in octaves(resolution) for _ in range(2)]
    count = len(rates) - 1  # the first has one layer; the last rate is the image's too
    if num_critical is not None and not 0 < num_critical <= count:
        why = (
            f"is not possible with the {count} layers of schedule='octaves' at"
            f" resolution={resolution}: use 1 to {count}, or none for all"
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
    resolution: int,
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
    last_cutoff = resolution / 2
    last_stopband = last_cutoff * last_stopband_rel
    exponents = np.minimum(np.arange(num_layers + 1) / (num_layers - num_critical), 1.0)
    cutoffs = first_cutoff * (last_cutoff / first_cutoff) ** exponents
    stopbands = first_stopband * (last_stopband / first_stopband) ** exponents
    rates = [_rate(resolution, min(2 * f, resolution)) for f in stopbands]
    half_widths = np.maximum(stopbands, np.asarray(rates) / 2) - cutoffs
    return [Band(*map(float, band)) for band in zip(cutoffs, half_widths, rates)]


def _rate(resolution: int, least: float) -> float:
    """The smallest whole rate from `least` up that halving the image's rate gives."""
    halvings = -math.ceil(math.log2(least / resolution))
    while resolution % 2**halvings:
        halvings -= 1
    return float(resolution // 2**halvings)


# name: the arguments of _flexible -> the bands of all layers and of the image.
SCHEDULES = {"flexible": _flexible, "octaves": _in_octaves}
