"""StyleGAN2 synthesis network (configuration A): ws to images.

A learned constant is doubled in size block by block; two convolutions a block, each
followed by noise. `architecture` "skip" sums images made by every block, "resnet" adds
skips around the convolutions, "orig" has neither. Source: StyleGAN2, Sec. 4 and App. B.
"""

import math
import operator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.networks import layers
from afgan_jax.signal import nonlinearity, precision, resample

ARCHITECTURES = ("orig", "skip", "resnet")
BILINEAR = np.array([1, 3, 3, 1]) / 8
add = precision.widened(operator.add)
add_noise = precision.widened(lambda x, noise, strength: x + noise * strength)


def block_resolutions(resolution: int) -> list[int]:
    """4, 8, .. resolution: the sizes of the blocks, smallest first.

    The smallest is 4 to 7. Raises ValueError if halving does not lead there.
    """
    sizes = [resolution]
    while sizes[0] % 2 == 0 and sizes[0] >= 8:
        sizes.insert(0, sizes[0] // 2)
    if not (16 <= resolution <= 1024 and 4 <= sizes[0] <= 7):
        raise ValueError(
            f"resolution={resolution} is not supported: choose 4, 5, 6 or 7 times a"
            " power of two, from 16 to 1024 (such as 64, 96 or 256)"
        )
    return sizes


class ConvLayer(nn.Module):
    """Equalised convolution, resampling and activation: [N H W I] -> [N H2 W2 O]."""

    features: int
    kernel: int
    activation: str = "linear"
    bias: bool = True
    up: int = 1
    down: int = 1
    clamp: float | None = None

    @nn.compact
    def __call__(self, x, gain: float = 1.0):
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        weight = self.param("weight", nn.initializers.normal(1.0), shape)
        y = layers.conv_resample(
            x,
            weight / math.sqrt(math.prod(shape[:3])),
            f=BILINEAR,
            up=self.up,
            down=self.down,
            pad=self.kernel // 2,
            flip_weight=self.up > 1,
        )
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = add(y, bias)
        return activate(y, self.activation, gain, self.clamp)


def activate(x: jax.Array, name: str, gain: float, clamp: float | None) -> jax.Array:
    """Activation whose usual gain and clamp are both multiplied by `gain`."""
    _, usual_gain = nonlinearity.ACTIVATIONS[name]
    clamp = None if clamp is None else clamp * gain
    return nonlinearity.Activation(name, usual_gain * gain, clamp=clamp)(x)


class SynthesisLayer(nn.Module):
    """Modulated convolution, noise, leaky ReLU: [N H W I] -> [N up*H up*W O].

    `noise` is "random", "const" or "none"; noise is the same for all channels. The
    constant one, noise_const [up*H up*W], may also be given as [N up*H up*W].
    """

    features: int
    up: int = 1
    kernel: int = 3
    clamp: float | None = None

    @nn.compact
    def __call__(self, x, w, noise: str = "const", gain: float = 1.0):
        n, height, width, channels = x.shape
        size = (height * self.up, width * self.up)
        styles = layers.Dense(channels, bias_init=1.0, name="affine")(w)
        shape = (self.kernel, self.kernel, channels, self.features)
        y = layers.modulated_conv(
            x,
            self.param("weight", nn.initializers.normal(1.0), shape),
            styles,
            normalize=False,
            f=BILINEAR,
            up=self.up,
            pad=self.kernel // 2,
            flip_weight=self.up > 1,
        )
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        constant = self.variable(
            "buffers",
            "noise_const",
            lambda: jax.random.normal(self.make_rng("params"), size),
        )
        if noise == "random":
            drawn = jax.random.normal(self.make_rng("noise"), (n, *size, 1), y.dtype)
            y = add_noise(y, drawn, strength)
        elif noise == "const":
            y = add_noise(y, constant.value[..., None], strength)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = add(y, bias)
        return activate(y, "lrelu", gain, self.clamp)


class ToRGB(nn.Module):
    """1x1 modulated convolution without demodulation: [N H W I] -> [N H W C]."""

    features: int
    clamp: float | None = None

    @nn.compact
    def __call__(self, x, w):
        channels = x.shape[-1]
        styles = layers.Dense(channels, bias_init=1.0, name="affine")(w)
        weight = self.param(
            "weight", nn.initializers.normal(1.0), (1, 1, channels, self.features)
        )
        y = layers.modulated_conv(
            x, weight, styles / math.sqrt(channels), demodulate=False
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = add(y, bias)
        return activate(y, "linear", 1.0, self.clamp)


class Block(nn.Module):
    """One resolution: (x or None, image or None, ws of this block) -> (x, image).

    Feature maps are of `dtype`, images float32.
    """

    features: int
    size: int
    img_channels: int
    architecture: str
    is_last: bool
    clamp: float | None
    dtype: str

    @nn.compact
    def __call__(self, x, image, ws, noise: str):
        ws = list(jnp.moveaxis(ws, 1, 0))
        residual = self.architecture == "resnet"
        gain = math.sqrt(0.5) if residual else 1.0
        if x is None:
            shape = (self.size, self.size, self.features)
            const = self.param("const", nn.initializers.normal(1.0), shape)
            x = jnp.broadcast_to(const, (ws[0].shape[0], *shape))
            x = layers.cast(x, self.dtype)
            x = SynthesisLayer(self.features, clamp=self.clamp, name="conv1")(
                x, ws.pop(0), noise
            )
        else:
            up = SynthesisLayer(self.features, up=2, clamp=self.clamp, name="conv0")
            same = SynthesisLayer(self.features, clamp=self.clamp, name="conv1")
            x = layers.cast(x, self.dtype)
            y = same(up(x, ws.pop(0), noise), ws.pop(0), noise, gain)
            if residual:
                skip = ConvLayer(self.features, 1, bias=False, up=2, name="skip")
                y = skip(x, gain) + y
            x = y
        if image is not None:
            image = resample.upsample(image, BILINEAR)
        if self.is_last or self.architecture == "skip":
            rgb = ToRGB(self.img_channels, self.clamp, name="torgb")(x, ws[0])
            rgb = rgb.astype(ws[0].dtype)
            image = rgb if image is None else image + rgb
        return x, image


class Synthesis(nn.Module):
    """ws [N L w_dim] -> images [N R R C]; L = convolutions + 1."""

    resolution: int
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "skip"
    conv_clamp: float | None = 256.0
    dtype: str = "float32"
    num_half_res: int = 4
    remat: str = "none"

    @property
    def training_options(self) -> dict:
        """Arguments of a call in training: noise is drawn anew each time."""
        return {"noise": "random"}

    @property
    def rgb_bias(self) -> tuple[str, ...]:
        """How the paths end of biases that no path length depends on."""
        return ("torgb/bias",)

    @property
    def num_ws(self) -> int:
        return 2 * len(block_resolutions(self.resolution))

    def describe(self) -> str:
        """A table of the blocks."""
        lines = ["name            size  channels"]
        for size in block_resolutions(self.resolution):
            channels = min(self.channel_base // size, self.channel_max)
            dtype = layers.dtype_at(
                size, self.resolution, self.dtype, self.num_half_res
            )
            half = "" if dtype == "float32" else f"  {dtype}"
            lines.append(f"b{size:<13} {size:5} {channels:9}{half}")
        return "\n".join(lines)

    @nn.compact
    def __call__(self, ws, transform=None, update_emas: bool = False, noise="const"):
        """Raises ValueError if a `transform` is given: there is no input to move."""
        if transform is not None:
            raise ValueError("StyleGAN2 starts from a constant: it has no transform")
        x = image = None
        first = 0
        make_block = layers.rematerialized(Block, self.remat, (4,))
        for size in block_resolutions(self.resolution):
            convolutions = 1 if x is None else 2
            block = make_block(
                min(self.channel_base // size, self.channel_max),
                size,
                self.img_channels,
                self.architecture,
                size == self.resolution,
                self.conv_clamp,
                layers.dtype_at(size, self.resolution, self.dtype, self.num_half_res),
                name=f"b{size}",
            )
            x, image = block(x, image, ws[:, first : first + convolutions + 1], noise)
            first += convolutions
        return image
