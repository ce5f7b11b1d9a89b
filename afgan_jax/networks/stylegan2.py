"""StyleGAN2 synthesis network (configurations A to E): ws to images.

A learned constant, or from B on Fourier features, is doubled in size block by block;
two convolutions a block, each followed by noise. `architecture` "skip" sums images made
by every block, "resnet" adds skips around the convolutions, "orig" has neither.

Sources: StyleGAN2, Sec. 4 and App. B; Alias-Free GAN, Sec. 3 (configurations B to E).
"""

import dataclasses
import functools
import math
import operator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.networks import alias_free, layers, lowpass, schedules
from afgan_jax.signal import activations, precision, resample

ARCHITECTURES = ("orig", "skip", "resnet")
BILINEAR = np.array([1, 3, 3, 1]) / 8
add = precision.widened(operator.add)


@dataclasses.dataclass(frozen=True)
class Options:
    """What configurations B to E change of StyleGAN2's layers; by default nothing."""

    noise: bool = True
    magnitude_ema_beta: float | None = None  # None: inputs are not normalised
    kernel: str = "bilinear"  # of upsampling
    filter_size: int = 6  # of the Kaiser kernel
    margin: int = 0  # pixels around the canvas, at every resolution

    @functools.cached_property
    def up_filter(self) -> np.ndarray:
        """Twofold and cut off at Nyquist: the same taps at every octave."""
        band = schedules.Band(0.5, schedules.octave_half_width(1.0), 1.0)
        design, _ = lowpass.KERNELS[self.kernel]
        return design(self.filter_size, 2, band, 2.0, False)

    def crop(self, x):
        """[N H W C] whose margin has been upsampled, down to the margin."""
        m = self.margin
        return x[:, m : x.shape[1] - m, m : x.shape[2] - m]

    def input_gain(self, module, x, update_emas: bool):
        """What a convolution multiplies its input by, None for 1."""
        beta = self.magnitude_ema_beta
        return None if beta is None else layers.input_gain(module, x, beta, update_emas)


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
    _, usual_gain = activations.ACTIVATIONS[name]
    clamp = None if clamp is None else clamp * gain
    return activations.Activation(name, usual_gain * gain, clamp=clamp)(x)


class SynthesisLayer(nn.Module):
    """Modulated convolution, noise, leaky ReLU: [N H W I] -> [N H2 W2 O].

    Up-fold without a margin; upsampling crops what it adds to the margin. For `noise`
    see `layers.add_noise`.
    """

    features: int
    up: int = 1
    kernel: int = 3
    clamp: float | None = None
    options: Options = Options()

    @nn.compact
    def __call__(self, x, w, noise="const", gain: float = 1.0, update_emas=False):
        channels = x.shape[-1]
        styles = layers.Dense(channels, bias_init=1.0, name="affine")(w)
        shape = (self.kernel, self.kernel, channels, self.features)
        y = layers.modulated_conv(
            x,
            self.param("weight", nn.initializers.normal(1.0), shape),
            styles,
            normalize=False,
            input_gain=self.options.input_gain(self, x, update_emas),
            f=self.options.up_filter,
            up=self.up,
            pad=self.kernel // 2,
            flip_weight=self.up > 1,
        )
        if self.up > 1:
            y = self.options.crop(y)
        if self.options.noise:
            y = layers.add_noise(self, y, noise)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = add(y, bias)
        return activate(y, "lrelu", gain, self.clamp)


class ToRGB(nn.Module):
    """1x1 modulated convolution without demodulation: [N H W I] -> [N H W C]."""

    features: int
    clamp: float | None = None
    options: Options = Options()

    @nn.compact
    def __call__(self, x, w, update_emas=False):
        channels = x.shape[-1]
        styles = layers.Dense(channels, bias_init=1.0, name="affine")(w)
        weight = self.param(
            "weight", nn.initializers.normal(1.0), (1, 1, channels, self.features)
        )
        y = layers.modulated_conv(
            x,
            weight,
            styles / math.sqrt(channels),
            demodulate=False,
            input_gain=self.options.input_gain(self, x, update_emas),
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = add(y, bias)
        return activate(y, "linear", 1.0, self.clamp)


class Block(nn.Module):
    """One resolution: (x, image or None, ws of this block) -> (x, image).

    The first block has one convolution and, if x is None, a learned constant before
    it. Feature maps are of `dtype`, images float32.
    """

    features: int
    size: int
    img_channels: int
    architecture: str
    is_first: bool
    is_last: bool
    clamp: float | None
    dtype: str
    options: Options

    @nn.compact
    def __call__(self, x, image, ws, noise: str, update_emas: bool):
        ws = list(jnp.moveaxis(ws, 1, 0))
        residual = self.architecture == "resnet"
        gain = math.sqrt(0.5) if residual else 1.0

        def conv(name, **kw):
            options = {"clamp": self.clamp, "options": self.options}
            return SynthesisLayer(self.features, **options, **kw, name=name)

        if x is None:
            shape = (self.size, self.size, self.features)
            const = self.param("const", nn.initializers.normal(1.0), shape)
            x = jnp.broadcast_to(const, (ws[0].shape[0], *shape))
        x = layers.cast(x, self.dtype)
        if self.is_first:
            x = conv("conv1")(x, ws.pop(0), noise, update_emas=update_emas)
        else:
            y = conv("conv0", up=2)(x, ws.pop(0), noise, update_emas=update_emas)
            y = conv("conv1")(y, ws.pop(0), noise, gain, update_emas)
            if residual:
                skip = ConvLayer(self.features, 1, bias=False, up=2, name="skip")
                y = skip(x, gain) + y
            x = y
        if image is not None:
            image = resample.upsample(image, self.options.up_filter)
            image = self.options.crop(image)
        if self.is_last or self.architecture == "skip":
            to_rgb = ToRGB(self.img_channels, self.clamp, self.options, name="torgb")
            rgb = to_rgb(x, ws[0], update_emas).astype(ws[0].dtype)
            image = rgb if image is None else image + rgb
        return x, image


class Synthesis(nn.Module):
    """ws [N L w_dim] -> images [N R R C]; L = convolutions + 1.

    One more comes first for Fourier features that w transforms.
    """

    resolution: int
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "skip"
    conv_clamp: float | None = 256.0
    dtype: str = "float32"
    num_half_res: int = 4
    remat: str = "none"
    input: str = "constant"  # or one of synthesis.INPUTS
    output_scale: float = 1.0
    options: Options = Options()

    @property
    def training_options(self) -> dict:
        """Arguments of a call in training: noise, if any, is drawn anew each time."""
        return {"noise": "random"} if self.options.noise else {}

    @property
    def can_move(self) -> bool:
        """Whether a call takes a `transform`."""
        return self.input != "constant"

    @property
    def rgb_bias(self) -> tuple[str, ...]:
        """How the paths end of biases that no path length depends on."""
        return ("torgb/bias",)

    @property
    def num_ws(self) -> int:
        return self.input_ws + 2 * len(schedules.octaves(self.resolution))

    @property
    def input_ws(self) -> int:
        """How many of the ws are the input's."""
        return int(self.can_move and alias_free.INPUTS[self.input])

    def describe(self) -> str:
        """A table of the blocks."""
        lines = ["name            size  channels"]
        for row in self.rows():
            half = "" if row["dtype"] == "float32" else f"  {row['dtype']}"
            size = row["size"][0]
            lines.append(f"{row['name']:14} {size:5} {row['channels']:9}{half}")
        return "\n".join(lines)

    def rows(self) -> list[dict]:
        """The blocks as numbers and names; sizes are those of maps, with margins."""
        return [
            {
                "name": f"b{size}",
                "rate": size,
                "size": [size + 2 * self.options.margin] * 2,
                "channels": min(self.channel_base // size, self.channel_max),
                "dtype": layers.dtype_at(
                    size, self.resolution, self.dtype, self.num_half_res
                ),
            }
            for size in schedules.octaves(self.resolution)
        ]

    @nn.compact
    def __call__(self, ws, transform=None, update_emas: bool = False, noise="const"):
        """`transform`: see FourierInput. With `update_emas`, magnitudes follow x.

        Raises ValueError if a `transform` is given and the input is constant.
        """
        if transform is not None and not self.can_move:
            raise ValueError("StyleGAN2 starts from a constant: it has no transform")
        rows = self.rows()
        x = self._waves(rows[0], ws, transform) if self.can_move else None
        image = None
        first = self.input_ws
        make_block = layers.rematerialized(Block, self.remat, (4, 5))
        for i, row in enumerate(rows):
            convolutions = 1 if i == 0 else 2
            block = make_block(
                row["channels"],
                row["rate"],
                self.img_channels,
                self.architecture,
                i == 0,
                i == len(rows) - 1,
                self.conv_clamp,
                row["dtype"],
                self.options,
                name=row["name"],
            )
            block_ws = ws[:, first : first + convolutions + 1]
            x, image = block(x, image, block_ws, noise, update_emas)
            first += convolutions
        return self.options.crop(image) * self.output_scale

    def _waves(self, row: dict, ws, transform):
        """Fourier features that fill the band of the first block's grid."""
        fourier_input = alias_free.FourierInput(
            row["channels"],
            tuple(row["size"]),
            row["rate"],
            row["rate"] / 2,
            alias_free.INPUTS[self.input],
            name="input",
        )
        return fourier_input(ws[:, 0], transform)
