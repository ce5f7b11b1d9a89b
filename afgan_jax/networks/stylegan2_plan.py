"""StyleGAN2's synthesis network as data: one LayerSpec per convolution.

Blocks double the sampling rate from 4 pixels per canvas width (5, 6 or 7 for other
sizes) to the resolution. Each but the first has a convolution that upsamples, one that
does not and, depending on the architecture, one that makes an image. Sizes are (height,
width) of maps, including a margin of the same width at every rate.

Sources: StyleGAN2, App. B; Alias-Free GAN, Sec. 3 (configurations B to E).
"""

import dataclasses
import functools
from typing import Any, ClassVar

import numpy as np

from afgan_jax.networks import half_precision, lowpass, schedules

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """A modulated convolution with its activation, or one that makes an image."""

    name: str  # of block and layer: b8/conv0
    in_channels: int
    out_channels: int
    rate: float
    up: int
    conv_kernel: int
    margin: int  # pixels around the canvas
    lowpass: str  # of upsampling
    filter_size: int  # of the Kaiser filter
    magnitude_ema_beta: float | None  # None: inputs are not normalised
    noise: bool = False
    is_rgb: bool = False
    dtype: str = "float32"

    columns: ClassVar[dict[str, str]] = {
        "name": "name",
        "rate": "rate",
        "size": "out_size",
        "up": "up",
        "in_channels": "in_channels",
        "channels": "out_channels",
        "noise": "noise",
        "dtype": "dtype",
    }
    heading = "name            size  up  in -> out channels"
    line = "{name:14} {size[0]:5} {up:3}  {in_channels} -> {channels}"

    @property
    def block(self) -> str:
        return self.name.partition("/")[0]

    @property
    def in_size(self) -> Size:
        return (round(self.rate / self.up) + 2 * self.margin,) * 2

    @property
    def out_size(self) -> Size:
        return (round(self.rate) + 2 * self.margin,) * 2

    @functools.cached_property
    def up_filter(self) -> np.ndarray | None:
        """Cut off at the Nyquist frequency of the input."""
        band = schedules.Band(0.5, schedules.octave_half_width(1.0), 1.0)
        design, _ = lowpass.DESIGNS[self.lowpass]
        return design(self.filter_size, self.up, band, float(self.up), False)

    def crop(self, x):
        """Upsampled maps [N H W C], whose margin is twice too wide, cropped."""
        m = self.margin
        return x[:, m : x.shape[1] - m, m : x.shape[2] - m]


def make_plan(
    *,
    resolution: int,
    img_channels: int,
    channel_base: int,
    channel_max: int,
    architecture: str,
    noise: bool,
    dtype: str,
    num_half_res: int,
    **alike: Any,
) -> tuple[LayerSpec, ...]:
    """The layers in the order of their ws.

    Every block makes an image if the architecture is "skip", else the last one. `alike`
    are fields that all layers share: margin, lowpass, filter_size, magnitude_ema_beta.
    Raises SettingError for an impossible resolution.
    """
    specs = []
    before = None
    for size in schedules.octaves(resolution):
        channels = min(channel_base // size, channel_max)
        layers = {"conv0": (before, channels, 2), "conv1": (channels, channels, 1)}
        if before is None:
            del layers["conv0"]
        if architecture == "skip" or size == resolution:
            layers["torgb"] = (channels, img_channels, 1)
        for name, (inputs, outputs, up) in layers.items():
            is_rgb = name == "torgb"
            specs.append(
                LayerSpec(
                    name=f"b{size}/{name}",
                    in_channels=inputs,
                    out_channels=outputs,
                    rate=float(size),
                    up=up,
                    conv_kernel=1 if is_rgb else 3,
                    noise=noise and not is_rgb,
                    is_rgb=is_rgb,
                    dtype=half_precision.dtype_at(
                        size, resolution, dtype, num_half_res
                    ),
                    **alike,
                )
            )
        before = channels
    return tuple(specs)
