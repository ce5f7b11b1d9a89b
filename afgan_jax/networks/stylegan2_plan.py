"""StyleGAN2's synthesis network as data: one LayerSpec per convolution.

Blocks double the sampling rate from 4 pixels in the shorter side of the canvas (to 8
for other sizes) to the image's. Each but the first has a convolution that upsamples,
one that does not and, depending on the architecture, one that makes an image. Sizes are
(height, width) of maps, including a margin of the same width at every rate.

Sources: StyleGAN2, App. B; Alias-Free GAN, Sec. 3 (configurations B to E).
"""

import dataclasses
import functools
from typing import Any, ClassVar

import numpy as np

from afgan_jax import image_size
from afgan_jax.image_size import Size
from afgan_jax.networks import half_precision, lowpass, schedules, sizes


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """A modulated convolution with its activation, or one that makes an image."""

    name: str  # of block and layer: b8/conv0
    in_channels: int
    out_channels: int
    rate: float
    canvas: Size  # of the output, without its margin
    in_canvas: Size
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
    line = "{name:14} {told:>5} {up:3}  {in_channels} -> {channels}"

    @property
    def block(self) -> str:
        return self.name.partition("/")[0]

    @property
    def in_size(self) -> Size:
        h, w = self.in_canvas
        return h + 2 * self.margin, w + 2 * self.margin

    @property
    def out_size(self) -> Size:
        h, w = self.canvas
        return h + 2 * self.margin, w + 2 * self.margin

    @functools.cached_property
    def up_filter(self) -> np.ndarray | None:
        """Cut off at the Nyquist frequency of the input."""
        band = schedules.Band(0.5, schedules.octave_half_width(1.0), 1.0)
        design, _ = lowpass.DESIGNS[self.lowpass]
        return design(self.filter_size, self.up, band, float(self.up), False)


def make_plan(
    *,
    resolution: image_size.Resolution,
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
    image = image_size.size_of(resolution)
    sizes.check_channels(image, channel_base)
    octaves = sizes.octaves(image)
    specs = []
    before = in_canvas = None
    for i, canvas in enumerate(octaves):
        size = min(canvas)
        rate = min(image) / 2 ** (len(octaves) - 1 - i)
        channels = min(channel_base // size, channel_max)
        layers = {"conv0": (before, channels, 2), "conv1": (channels, channels, 1)}
        if before is None:
            del layers["conv0"]
        if architecture == "skip" or canvas == image:
            layers["torgb"] = (channels, img_channels, 1)
        for name, (inputs, outputs, up) in layers.items():
            is_rgb = name == "torgb"
            specs.append(
                LayerSpec(
                    name=f"b{size}/{name}",
                    in_channels=inputs,
                    out_channels=outputs,
                    rate=rate,
                    canvas=canvas,
                    in_canvas=in_canvas if up > 1 else canvas,
                    up=up,
                    conv_kernel=1 if is_rgb else 3,
                    noise=noise and not is_rgb,
                    is_rgb=is_rgb,
                    dtype=half_precision.dtype_at(
                        rate, min(image), dtype, num_half_res
                    ),
                    **alike,
                )
            )
        before, in_canvas = channels, canvas
    return tuple(specs)
