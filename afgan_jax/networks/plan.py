"""The synthesis network as data: one LayerSpec per layer, computed before any array.

Frequencies are cycles per canvas width and sampling rates pixels per canvas width, so
Nyquist is rate/2. A layer convolves at its input's rate, upsamples to twice the higher
of its two rates, applies the nonlinearity, and low-passes and decimates to its output's
rate. Sizes are (height, width). All arithmetic is float64: cutoffs such as
31.999999999999996 decide roundings.

Source: Alias-Free GAN, Sec. 3.2, App. C and F.
"""

import dataclasses
import functools
import math

import numpy as np

from afgan_jax.networks import groups, layers
from afgan_jax.signal import filters

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Band:
    """The band a signal occupies: up to `cutoff`, gone at cutoff + half_width."""

    cutoff: float
    half_width: float
    rate: float


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """One synthesis layer: convolution, filtered nonlinearity, change of rate."""

    name: str
    in_channels: int
    out_channels: int
    in_size: Size
    out_size: Size
    in_band: Band
    out_band: Band
    conv_kernel: int = 3
    filter_size: int = 6  # taps per factor of resampling
    act_up: int = 2  # oversampling of the nonlinearity
    kernel: str = "kaiser"
    radial: bool = False  # down-filter, unless critically sampled
    is_rgb: bool = False
    is_critical: bool = False
    dtype: str = "float32"  # of the feature maps inside
    symmetry: str = "none"  # p4: all channels in each of 4 directions

    @property
    def tmp_rate(self) -> float:
        oversampling = 1 if self.is_rgb else self.act_up
        return max(self.in_band.rate, self.out_band.rate) * oversampling

    @property
    def up(self) -> int:
        return round(self.tmp_rate / self.in_band.rate)

    @property
    def down(self) -> int:
        return round(self.tmp_rate / self.out_band.rate)

    @property
    def is_radial(self) -> bool:
        return self.radial and not self.is_critical

    @functools.cached_property
    def up_filter(self) -> np.ndarray | None:
        design, _ = KERNELS[self.kernel]
        return design(self.filter_size, self.up, self.in_band, self.tmp_rate, False)

    @functools.cached_property
    def down_filter(self) -> np.ndarray | None:
        _, design = KERNELS[self.kernel]
        return design(
            self.filter_size, self.down, self.out_band, self.tmp_rate, self.is_radial
        )

    @property
    def up_taps(self) -> int:
        return 1 if self.up_filter is None else self.up_filter.shape[0]

    @property
    def down_taps(self) -> int:
        return 1 if self.down_filter is None else self.down_filter.shape[0]

    @property
    def pad(self) -> tuple[Size, Size]:
        """((top, bottom), (left, right)) in upsampled pixels (App. C.3).

        Chosen so that the centres of the input and output canvas coincide, for an input
        that the convolution has grown by conv_kernel - 1.
        """
        pads = []
        for n, out in zip(self.in_size, self.out_size):
            grown = (n + self.conv_kernel - 1) * self.up
            total = (
                (out - 1) * self.down + 1 - grown + self.up_taps + self.down_taps - 2
            )
            lo = (total + self.up) // 2
            pads.append((lo, total - lo))
        return tuple(pads)


def _kaiser(n, factor, band, rate, radial):
    if factor == 1:
        return None
    return filters.lowpass(
        n * factor, band.cutoff, band.half_width, rate, radial=radial
    )


def _repeat(n, factor, band, rate, radial):
    return None if factor == 1 else np.full(factor, 1 / factor)


def _keep_first(n, factor, band, rate, radial):
    return None


# (up, down) designs: (n, factor, band, rate, radial) -> taps, None for a single 1.
# "none" switches the low-pass filters off: pixels are repeated going up and
# dropped going down.
KERNELS = {"kaiser": (_kaiser, _kaiser), "none": (_repeat, _keep_first)}


def make_plan(
    *,
    resolution: int,
    img_channels: int = 3,
    channel_base: int = 32768,
    channel_max: int = 512,
    num_layers: int = 14,
    num_critical: int = 2,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband_rel: float = 2**0.3,
    margin: int = 10,
    conv_kernel: int = 3,
    filter_size: int = 6,
    act_up: int = 2,
    kernel: str = "kaiser",
    radial: bool = False,
    dtype: str = "float32",
    num_half_res: int = 4,
    symmetry: str = "none",
) -> tuple[LayerSpec, ...]:
    """The layers of configurations T and R (Sec. 3.2, "flexible layers").

    Cutoff and stopband grow geometrically over the layers and stay at the image's for
    the last `num_critical`; layer i reads the band of entry max(i - 1, 0). The first
    layer's input side describes the Fourier features. The `num_half_res` highest
    resolutions are computed in `dtype`, the others in float32.
    Raises ValueError for a resolution outside 16..1024 or an impossible setting.
    """
    _check(resolution, num_layers, num_critical, kernel)
    groups.check(symmetry)
    last_cutoff = resolution / 2
    last_stopband = last_cutoff * last_stopband_rel
    exponents = np.minimum(np.arange(num_layers + 1) / (num_layers - num_critical), 1.0)
    cutoffs = first_cutoff * (last_cutoff / first_cutoff) ** exponents
    stopbands = first_stopband * (last_stopband / first_stopband) ** exponents
    rates = [_rate(resolution, min(2 * f, resolution)) for f in stopbands]
    half_widths = np.maximum(stopbands, np.asarray(rates) / 2) - cutoffs
    sizes = [int(s) + 2 * margin for s in rates]
    sizes[-2:] = [resolution, resolution]
    channels = np.rint(np.minimum(channel_base / 2 / cutoffs, channel_max))
    channels[-1] = img_channels
    if channels.min() < 1:
        raise ValueError(
            f"channel_base={channel_base} leaves layers without channels: give at least"
            f" {resolution} for resolution={resolution}"
        )
    bands = [Band(*map(float, band)) for band in zip(cutoffs, half_widths, rates)]

    specs = []
    for i in range(num_layers + 1):
        before = max(i - 1, 0)
        specs.append(
            LayerSpec(
                name=f"L{i}_{sizes[i]}_{int(channels[i])}",
                in_channels=int(channels[before]),
                out_channels=int(channels[i]),
                in_size=(sizes[before], sizes[before]),
                out_size=(sizes[i], sizes[i]),
                in_band=bands[before],
                out_band=bands[i],
                conv_kernel=1 if i == num_layers else conv_kernel,
                filter_size=filter_size,
                act_up=act_up,
                kernel=kernel,
                radial=radial,
                is_rgb=i == num_layers,
                is_critical=i >= num_layers - num_critical,
                dtype=layers.dtype_at(rates[i], resolution, dtype, num_half_res),
                symmetry=symmetry,
            )
        )
    return tuple(specs)


def describe(specs: tuple[LayerSpec, ...]) -> str:
    """A table of the plan: one line per layer."""
    lines = ["name            rate  cutoff stopband  half  up/down  in -> out channels"]
    for spec in specs:
        band = spec.out_band
        lines.append(
            f"{spec.name:14} {band.rate:5g} {band.cutoff:7.2f}"
            f" {band.cutoff + band.half_width:8.2f} {band.half_width:6.2f}"
            f"   {spec.up}/{spec.down}    {spec.in_channels} -> {spec.out_channels}"
            f"{'  critical' if spec.is_critical else ''}"
            f"{'  radial' if spec.is_radial else ''}"
            f"{'' if spec.dtype == 'float32' else '  ' + spec.dtype}"
            f"{'' if spec.symmetry == 'none' else '  ' + spec.symmetry}"
        )
    return "\n".join(lines)


def _rate(resolution: int, least: float) -> float:
    """The smallest whole rate from `least` up that halving the image's rate gives."""
    halvings = -math.ceil(math.log2(least / resolution))
    while resolution % 2**halvings:
        halvings -= 1
    return float(resolution // 2**halvings)


def _check(resolution: int, num_layers: int, num_critical: int, kernel: str) -> None:
    if not 16 <= resolution <= 1024:
        raise ValueError(
            f"resolution={resolution} is not supported: choose 16 to 1024 pixels"
        )
    if not 0 < num_critical < num_layers:
        raise ValueError(
            f"num_critical={num_critical} does not fit num_layers={num_layers}:"
            " at least one layer of each kind is needed"
        )
    if kernel not in KERNELS:
        raise ValueError(f"kernel={kernel!r} is unknown: use one of {sorted(KERNELS)}")
