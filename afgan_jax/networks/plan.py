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

import numpy as np

from afgan_jax.networks import layers, lowpass, p4, schedules
from afgan_jax.networks.schedules import Band

Size = tuple[int, int]


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
    noise: bool = False  # added to what the convolution gives
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
        return self.radial and not self.is_critical and self.kernel in lowpass.RADIAL

    @functools.cached_property
    def up_filter(self) -> np.ndarray | None:
        design, _ = lowpass.KERNELS[self.kernel]
        return design(self.filter_size, self.up, self.in_band, self.tmp_rate, False)

    @functools.cached_property
    def down_filter(self) -> np.ndarray | None:
        _, design = lowpass.KERNELS[self.kernel]
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


def make_plan(
    *,
    resolution: int,
    img_channels: int = 3,
    channel_base: int = 32768,
    channel_max: int = 512,
    schedule: str = "flexible",
    num_layers: int = 14,
    num_critical: int | None = 2,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband_rel: float = 2**0.3,
    margin: int = 10,
    conv_kernel: int = 3,
    filter_size: int = 6,
    act_up: int = 2,
    kernel: str = "kaiser",
    radial: bool = False,
    noise: bool = False,
    dtype: str = "float32",
    num_half_res: int = 4,
    symmetry: str = "none",
) -> tuple[LayerSpec, ...]:
    """The layers of configurations F to H (schedule "octaves") and T, R ("flexible").

    Entry i of a schedule is the band that layer i gives out; it reads that of entry
    max(i - 1, 0). The first layer's input side describes the Fourier features. The
    last `num_critical` layers are critically sampled (None: all). The `num_half_res`
    highest resolutions are computed in `dtype`, the others in float32.
    Raises ValueError for a resolution outside schedules.RESOLUTIONS or an impossible
    setting.
    """
    _check(resolution, schedule, kernel)
    p4.check(symmetry)
    make_bands = schedules.SCHEDULES[schedule]
    growth = (num_layers, first_cutoff, first_stopband, last_stopband_rel)
    bands = make_bands(resolution, num_critical, *growth)
    num_layers = len(bands) - 1  # and the image's
    sizes = [int(band.rate) + 2 * margin for band in bands]
    sizes[-2:] = [resolution, resolution]
    cutoffs = np.array([band.cutoff for band in bands])
    channels = np.rint(np.minimum(channel_base / 2 / cutoffs, channel_max))
    channels[-1] = img_channels
    if channels.min() < 1:
        raise ValueError(
            f"channel_base={channel_base} leaves layers without channels: give at least"
            f" {resolution} for resolution={resolution}"
        )

    specs = []
    for i, band in enumerate(bands):
        before = max(i - 1, 0)
        is_rgb = i == num_layers
        specs.append(
            LayerSpec(
                name=f"L{i}_{sizes[i]}_{int(channels[i])}",
                in_channels=int(channels[before]),
                out_channels=int(channels[i]),
                in_size=(sizes[before], sizes[before]),
                out_size=(sizes[i], sizes[i]),
                in_band=bands[before],
                out_band=band,
                conv_kernel=1 if is_rgb else conv_kernel,
                filter_size=filter_size,
                act_up=act_up,
                kernel=kernel,
                radial=radial,
                noise=noise and not is_rgb,
                is_rgb=is_rgb,
                is_critical=num_critical is None or i >= num_layers - num_critical,
                dtype=layers.dtype_at(band.rate, resolution, dtype, num_half_res),
                symmetry=symmetry,
            )
        )
    return tuple(specs)


def rows(specs: tuple[LayerSpec, ...]) -> list[dict]:
    """The plan as numbers and names: the band, rates and size of what each layer makes.

    `inner_rate` is that of its nonlinearity.
    """
    return [
        {
            "name": spec.name,
            "rate": spec.out_band.rate,
            "inner_rate": spec.tmp_rate,
            "size": list(spec.out_size),
            "cutoff": spec.out_band.cutoff,
            "stopband": spec.out_band.cutoff + spec.out_band.half_width,
            "half_width": spec.out_band.half_width,
            "up": spec.up,
            "down": spec.down,
            "up_taps": spec.up_taps,
            "down_taps": spec.down_taps,
            "in_channels": spec.in_channels,
            "channels": spec.out_channels,
            "critical": spec.is_critical,
            "radial": spec.is_radial,
            "noise": spec.noise,
            "symmetry": spec.symmetry,
            "dtype": spec.dtype,
        }
        for spec in specs
    ]


def describe(specs: tuple[LayerSpec, ...]) -> str:
    """A table of the plan: one line per layer."""
    lines = ["name            rate  cutoff stopband  half  up/down  in -> out channels"]
    for row in rows(specs):
        marks = [name for name in ("critical", "radial", "noise") if row[name]]
        marks += [row["dtype"]] * (row["dtype"] != "float32")
        marks += [row["symmetry"]] * (row["symmetry"] != "none")
        lines.append(
            f"{row['name']:14} {row['rate']:5g} {row['cutoff']:7.2f}"
            f" {row['stopband']:8.2f} {row['half_width']:6.2f}"
            f"   {row['up']}/{row['down']}    {row['in_channels']} ->"
            f" {row['channels']}{''.join(f'  {mark}' for mark in marks)}"
        )
    return "\n".join(lines)


def _check(resolution: int, schedule: str, kernel: str) -> None:
    least, most = schedules.RESOLUTIONS
    if not least <= resolution <= most:
        raise ValueError(
            f"resolution={resolution} is not supported: choose {least} to {most} pixels"
        )
    schedules.check(schedule)
    lowpass.check(kernel)
