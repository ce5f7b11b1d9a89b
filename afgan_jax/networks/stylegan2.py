"""StyleGAN2 synthesis network (configurations A to E): ws to images.

Blocks double the size of a learned constant, from B on of Fourier features. A block has
two convolutions, each followed by noise. `architecture` "skip" sums the images of all
blocks, "resnet" adds skips around the convolutions, "orig" has neither.

Sources: StyleGAN2, Sec. 4 and App. B; Alias-Free GAN, Sec. 3 (configurations B to E).
"""

import itertools
import math
import operator

import flax.linen as nn
import jax.numpy as jnp

from afgan_jax import image_size
from afgan_jax.networks import (
    conv_layer,
    dense,
    fourier_input,
    half_precision,
    layered,
    modulation,
    rematerialization,
    settings,
    sizes,
    stylegan2_plan,
)
from afgan_jax.networks import lowpass as lowpass_designs
from afgan_jax.signal import resample


class SynthesisLayer(nn.Module):
    """x [N H W I], w [N w_dim] -> [N H2 W2 O]; for `noise` see modulation.add_noise."""

    spec: stylegan2_plan.LayerSpec
    clamp: float | None

    @nn.compact
    def __call__(self, x, w, noise="const", gain: float = 1.0, update_emas=False):
        spec, size = self.spec, self.spec.conv_kernel
        styles = dense.Dense(spec.in_channels, bias_init=1.0, name="affine")(w)
        if spec.is_rgb:
            styles = styles / math.sqrt(spec.in_channels)
        weight = self.param(
            "weight",
            nn.initializers.normal(1.0),
            (size, size, spec.in_channels, spec.out_channels),
            jnp.float32,
        )
        input_gain = None
        if spec.magnitude_ema_beta is not None:
            beta = spec.magnitude_ema_beta
            input_gain = modulation.input_gain(self, x, beta, update_emas)
        y = modulation.modulated_conv(
            x,
            weight,
            styles,
            demodulate=not spec.is_rgb,
            normalize=False,
            input_gain=input_gain,
            f=spec.up_filter,
            up=spec.up,
            pad=size // 2,
            flip_weight=spec.up > 1,
        )
        if spec.up > 1:
            y = sizes.crop(y, spec.out_size)
        if spec.noise:
            y = modulation.add_noise(self, y, noise)
        shape = (spec.out_channels,)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        name = "linear" if spec.is_rgb else "lrelu"
        return conv_layer.activation(name, gain, self.clamp)(conv_layer.add(y, bias))


class Block(nn.Module):
    """One resolution: (x, image or None, ws of its layers) -> (x, image).

    If x is None, a learned constant replaces it. Feature maps have the precision of
    the layers, images are float32.
    """

    layers: tuple[stylegan2_plan.LayerSpec, ...]
    architecture: str
    clamp: float | None

    @nn.compact
    def __call__(self, x, image, ws, noise: str, update_emas: bool):
        ws = list(jnp.moveaxis(ws, 1, 0))
        first = self.layers[0]
        convolutions = [spec for spec in self.layers if not spec.is_rgb]
        residual = self.architecture == "resnet" and first.up > 1
        gain = math.sqrt(0.5) if residual else 1.0
        if x is None:
            shape = (*first.in_size, first.in_channels)
            init = nn.initializers.normal(1.0)
            const = self.param("const", init, shape, jnp.float32)
            x = jnp.broadcast_to(const, (ws[0].shape[0], *shape))
        y = x = half_precision.cast(x, first.dtype)
        for spec in convolutions:
            leaf = spec.name.partition("/")[2]
            layer = SynthesisLayer(spec, self.clamp, name=leaf)
            at_end = gain if spec is convolutions[-1] else 1.0
            y = layer(y, ws.pop(0), noise, at_end, update_emas)
        if residual:
            skip = conv_layer.ConvLayer(
                first.out_channels, 1, bias=False, up=2, name="skip"
            )
            y = sizes.crop(skip(x, gain), first.out_size) + y
        if image is not None:
            image = resample.upsample(image, first.up_filter)
            image = sizes.crop(image, first.out_size)
        if self.layers[-1].is_rgb:
            to_rgb = SynthesisLayer(self.layers[-1], self.clamp, name="torgb")
            rgb = to_rgb(y, ws[0], update_emas=update_emas).astype(ws[0].dtype)
            image = rgb if image is None else image + rgb
        return y, image


class Synthesis(layered.Layered):
    """ws [N L w_dim] -> images [N H W C]; see protocol.SynthesisNetwork.

    The first w transforms the Fourier features, if anything does; each convolution and
    the last image have one. A block's image shares that of the next convolution.
    """

    layers: tuple[stylegan2_plan.LayerSpec, ...]
    architecture: str
    conv_clamp: float | None
    remat: str
    input: str  # "constant" or one of fourier_input.INPUTS
    output_scale: float

    has_bands = False

    @property
    def can_move(self) -> bool:
        return self.input != "constant"

    @property
    def size(self) -> image_size.Size:
        return self.layers[-1].canvas

    @property
    def rgb_bias(self) -> tuple[str, ...]:
        return ("torgb/bias",)

    @property
    def num_ws(self) -> int:
        return self.input_ws + sum(not spec.is_rgb for spec in self.layers) + 1

    @property
    def input_ws(self) -> int:
        return int(fourier_input.INPUTS.get(self.input, False))

    @property
    def layers_of_ws(self) -> tuple[tuple[str, ...], ...]:
        rows, shared = [("input",)] * self.input_ws, ()
        for spec in self.layers:
            if spec.is_rgb:
                shared = (spec.name,)
            else:
                rows.append((spec.name, *shared))
                shared = ()
        return (*rows, shared or (self.layers[-1].name,))

    @nn.compact
    def __call__(
        self, ws, transform=None, update_emas: bool = False, noise: str = "const"
    ):
        if transform is not None and not self.can_move:
            raise ValueError("StyleGAN2 starts from a constant and takes no transform")
        x = self._waves(ws, transform) if self.can_move else None
        image = None
        first = self.input_ws
        make_block = rematerialization.rematerialized(Block, self.remat, (4, 5))
        for name, specs in itertools.groupby(self.layers, operator.attrgetter("block")):
            specs = tuple(specs)
            count = sum(not spec.is_rgb for spec in specs)
            block = make_block(specs, self.architecture, self.conv_clamp, name=name)
            block_ws = ws[:, first : first + count + 1]
            x, image = block(x, image, block_ws, noise, update_emas)
            first += count
        return sizes.crop(image, self.size) * self.output_scale

    def _waves(self, ws, transform):
        """Fourier features up to the Nyquist frequency of the first layer."""
        first = self.layers[0]
        features = fourier_input.FourierInput(
            first.in_channels,
            first.in_size,
            first.rate,
            first.rate / 2,
            fourier_input.INPUTS[self.input],
            name="input",
        )
        return features(ws[:, 0], transform)


def make_synthesis(
    *,
    resolution: image_size.Resolution,
    img_channels: int = 3,
    channel_base: int = 32768,
    channel_max: int = 512,
    architecture: str = "skip",
    conv_clamp: float | None = 256.0,
    dtype: str = "float32",
    num_half_res: int = 4,
    remat: str = "none",
) -> Synthesis:
    """StyleGAN2 as published (row A); `architecture` is one of ARCHITECTURES.

    The `num_half_res` highest resolutions are computed in `dtype`; for `remat` see
    rematerialization.REMAT. Raises SettingError for unknown or impossible settings.
    """
    given = dict(locals())
    return _make(given | OF_STYLEGAN2, {"architecture": ARCHITECTURES})


def make_fourier_synthesis(
    *,
    resolution: image_size.Resolution,
    img_channels: int = 3,
    channel_base: int = 32768,
    channel_max: int = 512,
    architecture: str = "orig",
    input: str = "fourier",
    noise: bool = False,
    margin: int = 10,
    lowpass: str = "kaiser",
    filter_size: int = 6,
    magnitude_ema_beta: float | None = 0.999,
    output_scale: float = 0.25,
    conv_clamp: float | None = 256.0,
    dtype: str = "float32",
    num_half_res: int = 4,
    remat: str = "none",
) -> Synthesis:
    """StyleGAN2 with Fourier features (rows B to E), E by default.

    `architecture` is "orig" or "skip": the skips of "resnet" have no margin. `input` is
    one of fourier_input.INPUTS, `lowpass`, of upsampling, one of lowpass.DESIGNS;
    `filter_size` is that of Kaiser filters; `margin` is in pixels at every resolution;
    magnitude_ema_beta=None does not normalise the inputs of convolutions. The rest is
    as in make_synthesis.
    """
    given = dict(locals())
    known = {"input": fourier_input.INPUTS, "lowpass": lowpass_designs.DESIGNS}
    return _make(given, {"architecture": ("orig", "skip"), **known})


ARCHITECTURES = ("orig", "skip", "resnet")
# Settings that StyleGAN2 as published fixes.
OF_STYLEGAN2 = {
    "input": "constant",
    "noise": True,
    "margin": 0,
    "lowpass": "bilinear",
    "filter_size": 6,
    "magnitude_ema_beta": None,
    "output_scale": 1.0,
}


def _make(given: dict, known: dict) -> Synthesis:
    settings.check(given, known)
    names = ("conv_clamp", "remat", "input", "output_scale")
    own = {name: given.pop(name) for name in names}
    layers = stylegan2_plan.make_plan(**given)
    return Synthesis(layers, given["architecture"], **own)
