"""The synthesis network as data: one LayerSpec per layer, computed before any array.

Frequencies are cycles and sampling rates pixels in the shorter side of the canvas, so
Nyquist is rate/2. A layer convolves at its input's rate, upsamples to twice the higher
of its two rates, applies the nonlinearity, then low-passes and decimates to its
output's rate. Sizes are (height, width). All arithmetic is float64: cutoffs such as
31.999999999999996 decide how sizes are rounded.

Source: Alias-Free GAN, Sec. 3.2, App. C and F.
"""

import dataclasses
import functools
import math
from typing import Any, ClassVar

import numpy as np

from afgan_jax import errors, image_size
from afgan_jax.image_size import Size
from afgan_jax.networks import half_precision, lowpass, schedules, sizes
from afgan_jax.networks.schedules import Band


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
    conv_kernel: int
    filter_size: int  # taps per factor of resampling
    act_up: int  # oversampling of the nonlinearity
    lowpass: str
    radial: bool  # down-filter, unless critically sampled
    noise: bool = False  # added to what the convolution gives
    is_rgb: bool = False
    is_critical: bool = False
    dtype: str = "float32"  # of the feature maps inside
    symmetry: str = "none"  # p4: all channels in each of 4 directions

    # Band, rate and size are the output's; inner_rate is that of the nonlinearity.
    columns: ClassVar[dict[str, str]] = {
        "name": "name",
        "rate": "rate",
        "inner_rate": "tmp_rate",
        "size": "out_size",
        "cutoff": "out_band.cutoff",
        "stopband": "out_band.stopband",
        "half_width": "out_band.half_width",
        "up": "up",
        "down": "down",
        "up_taps": "up_taps",
        "down_taps": "down_taps",
        "in_channels": "in_channels",
        "channels": "out_channels",
        "critical": "is_critical",
        "radial": "is_radial",
        "noise": "noise",
        "symmetry": "symmetry",
        "dtype": "dtype",
    }
    heading = "name            rate  cutoff stopband  half  up/down  in -> out channels"
    line = (
        "{name:14} {rate:5g} {cutoff:z7.2f} {stopband:z8.2f} {half_width:z6.2f}"
        "   {up}/{down}    {in_channels} -> {channels}"
    )

    @property
    def rate(self) -> float:
        return self.out_band.rate

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
        return self.radial and not self.is_critical and self.lowpass in lowpass.RADIAL

    @functools.cached_property
    def up_filter(self) -> np.ndarray | None:
        design, _ = lowpass.DESIGNS[self.lowpass]
        return design(self.filter_size, self.up, self.in_band, self.tmp_rate, False)

    @functools.cached_property
    def down_filter(self) -> np.ndarray | None:
        _, design = lowpass.DESIGNS[self.lowpass]
        to = self.out_band, self.tmp_rate, self.is_radial
        return design(self.filter_size, self.down, *to)

    @property
    def up_taps(self) -> int:
        return 1 if self.up_filter is None else self.up_filter.shape[0]

    @property
    def down_taps(self) -> int:
        return 1 if self.down_filter is None else self.down_filter.shape[0]

    @property
    def pad(self) -> tuple[Size, Size]:
        """((top, bottom), (left, right)) in upsampled pixels (App. C.3).

        Keeps the centre of the canvas in place; the convolution has grown the input by
        conv_kernel - 1.
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
    resolution: image_size.Resolution,
    img_channels: int,
    channel_base: int,
    channel_max: int,
    schedule: str,
    num_layers: int,
    num_critical: int | None,
    first_cutoff: float,
    first_stopband: float,
    last_stopband_rel: float,
    margin: int,
    conv_kernel: int,
    noise: bool,
    dtype: str,
    num_half_res: int,
    **alike: Any,
) -> tuple[LayerSpec, ...]:
    """The layers of configurations F to H (schedule "octaves") and T, R ("flexible").

    Band i of a schedule is the output of layer i and the input of the next; the input
    of layer 0, the Fourier features, has band 0 too. The last `num_critical` layers are
    critically sampled (None: all). The `num_half_res` highest resolutions are computed
    in `dtype`, the others in float32. `alike` are fields that all layers share:
    filter_size, act_up, lowpass, radial, symmetry. Raises SettingError for an
    impossible setting.
    """
    size = image_size.size_of(resolution)
    growth = (num_layers, first_cutoff, first_stopband, last_stopband_rel)
    bands = schedules.SCHEDULES[schedule](size, num_critical, *growth)
    last = len(bands) - 1  # the image's
    halvings = [round(math.log2(min(size) / band.rate)) for band in bands]
    maps = [sizes.at(size, k, exact=max(halvings)) for k in halvings]
    maps = [(h + 2 * margin, w + 2 * margin) for h, w in maps]
    maps[-2:] = [size, size]
    channels = [*_channels(bands[:-1], channel_base, channel_max), img_channels]
    specs = []
    for i, band in enumerate(bands):
        before = max(i - 1, 0)
        specs.append(
            LayerSpec(
                name=f"L{i}_{image_size.told(maps[i])}_{channels[i]}",
                in_channels=channels[before],
                out_channels=channels[i],
                in_size=maps[before],
                out_size=maps[i],
                in_band=bands[before],
                out_band=band,
                conv_kernel=1 if i == last else conv_kernel,
                noise=noise and i != last,
                is_rgb=i == last,
                is_critical=num_critical is None or i >= last - num_critical,
                dtype=half_precision.dtype_at(
                    band.rate, min(size), dtype, num_half_res
                ),
                **alike,
            )
        )
    return tuple(specs)


def _channels(bands: list[Band], channel_base: int, channel_max: int) -> list[int]:
    """Inversely proportional to cutoffs, at most channel_max."""
    cutoffs = np.array([band.cutoff for band in bands])
    channels = np.rint(np.minimum(channel_base / 2 / cutoffs, channel_max))
    if channels.min() < 1:
        why = f"leaves layers without channels: give at least {bands[-1].rate:z.0f}"
        raise errors.SettingError("channel_base", channel_base, why)
    return [int(count) for count in channels]
