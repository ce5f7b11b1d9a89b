"""StyleGAN2 discriminator: images and labels to logits.

Blocks of two convolutions halve the image until its shorter side has 4 pixels (to 8 for
other sizes), with zeros around maps of an odd size; minibatch statistics, a convolution
and two dense layers follow. `architecture`
"resnet" adds skips around the convolutions, "skip" feeds the downsampled image to every
block, "orig" has neither. Labels enter by projection. Source: StyleGAN2, App. B.

`lowpass` "bilinear" is as published, also in Alias-Free GAN: its nonlinearities alias.
"kaiser" has the same parameters and is alias-free down to 4x4, but hardly sees the
highest frequencies of an image (half the amplitude at 0.7 of Nyquist).
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax import image_size
from afgan_jax.networks import (
    conv_layer,
    dense,
    filtered,
    half_precision,
    mapping,
    minibatch_stddev,
    rematerialization,
    settings,
    sizes,
)
from afgan_jax.signal import bandlimit, resample
from afgan_jax.signal.backends import dispatch

# name: (a block's convolution layer, the filter that halves an image)
LOWPASS = {
    "bilinear": (conv_layer.ConvLayer, conv_layer.BILINEAR),
    "kaiser": (filtered.FilteredConv, bandlimit.make_filter(bandlimit.DESIGN, 2)),
}


class Block(nn.Module):
    """(x or None, image or None) -> (x at half the size, image for the next block)."""

    features: int
    next_features: int
    next_size: image_size.Size
    architecture: str
    clamp: float | None
    dtype: str
    lowpass: str

    @nn.compact
    def __call__(self, x, image):
        twice = tuple(2 * n for n in self.next_size)
        x = None if x is None else half_precision.cast(x, self.dtype)
        layer, halving = LOWPASS[self.lowpass]
        lrelu = {"activation": "lrelu", "clamp": self.clamp}
        if x is None or self.architecture == "skip":
            rgb = half_precision.cast(image, self.dtype)
            y = layer(self.features, 1, name="fromrgb", **lrelu)(rgb)
            x = y if x is None else x + y
            image = (
                resample.downsample(sizes.pad(image, twice), halving)
                if self.architecture == "skip"
                else None
            )
        residual = self.architecture == "resnet"
        gain = math.sqrt(0.5) if residual else 1.0
        y = layer(self.features, 3, name="conv0", **lrelu)(x)
        x, y = sizes.pad(x, twice), sizes.pad(y, twice)
        y = layer(self.next_features, 3, name="conv1", down=2, **lrelu)(y, gain)
        if residual:
            linear = {"activation": "linear", "bias": False, "down": 2}
            skip = layer(self.next_features, 1, name="skip", **linear)
            y = skip(x, gain) + y
        return y, image


class Epilogue(nn.Module):
    """x [N h w C] -> [N out]: statistics over the batch, then dense layers."""

    out: int
    architecture: str
    mbstd_group_size: int | None
    mbstd_num_channels: int
    mbstd_layout: str
    clamp: float | None

    @nn.compact
    def __call__(self, x, image):
        x = half_precision.cast(x, "float32")
        features = x.shape[-1]
        lrelu = {"activation": "lrelu", "clamp": self.clamp}
        if self.architecture == "skip":
            x = x + conv_layer.ConvLayer(features, 1, name="fromrgb", **lrelu)(image)
        if self.mbstd_num_channels:
            x = minibatch_stddev.minibatch_stddev(
                x, self.mbstd_group_size, self.mbstd_num_channels, self.mbstd_layout
            )
        x = conv_layer.ConvLayer(features, 3, name="conv", **lrelu)(x)
        x = dense.Dense(features, "lrelu", name="fc")(x.reshape(x.shape[0], -1))
        return dense.Dense(self.out, name="out")(x)


class Discriminator(nn.Module):
    """images [N H W C], labels [N c_dim] or None -> logits [N]."""

    resolution: image_size.Resolution
    img_channels: int
    c_dim: int
    channel_base: int
    channel_max: int
    architecture: str
    conv_clamp: float | None
    cmap_dim: int | None
    mapping_layers: int
    mbstd_group_size: int | None
    mbstd_num_channels: int
    mbstd_layout: str
    dtype: str
    num_half_res: int
    remat: str
    lowpass: str

    @property
    def size(self) -> image_size.Size:
        return image_size.size_of(self.resolution)

    @property
    def block_layers(self) -> tuple[str, ...]:
        """Paths of the blocks' layers from the highest resolution down.

        Without the last block, at 4x4, and the mapping of labels.
        """
        found = []
        for i, size in enumerate(sizes.octaves(self.size)[:0:-1]):
            names = ["conv0", "conv1"]
            if i == 0 or self.architecture == "skip":
                names.insert(0, "fromrgb")
            if self.architecture == "resnet":
                names.append("skip")
            found += [f"b{min(size)}/{name}" for name in names]
        return tuple(found)

    def initialize(self, key: Array) -> dict:
        """Fresh variables {"params"}."""
        shape = (1, *self.size, self.img_channels)
        images = jnp.zeros(shape, jnp.float32)
        c = jnp.zeros((1, self.c_dim), jnp.float32) if self.c_dim else None
        return dict(jax.jit(dispatch.briefly(self.init))(key, images, c))

    @nn.compact
    def __call__(
        self, images: Float[Array, "N H W C"], c: Float[Array, "N c_dim"] | None = None
    ) -> Float[Array, " N"]:
        expected = (*self.size, self.img_channels)
        if images.shape[1:] != expected:
            raise ValueError(
                f"images are {images.shape[1:]}, the discriminator takes {expected}:"
                " set discriminator.resolution and img_channels to those of the data"
            )
        octaves = sizes.octaves(self.size)

        def channels(size):
            return min(self.channel_base // min(size), self.channel_max)

        x, image = None, images
        make_block = rematerialization.rematerialized(Block, self.remat)
        for i, (size, next_size) in enumerate(zip(octaves[:0:-1], octaves[-2::-1])):
            block = make_block(
                channels(size),
                channels(next_size),
                next_size,
                self.architecture,
                self.conv_clamp,
                half_precision.dtype_at(
                    min(self.size) / 2**i,
                    min(self.size),
                    self.dtype,
                    self.num_half_res,
                ),
                self.lowpass,
                name=f"b{min(size)}",
            )
            x, image = block(x, image)
        cmap_dim = 0
        if self.c_dim:
            cmap_dim = channels(octaves[0]) if self.cmap_dim is None else self.cmap_dim
        epilogue = Epilogue(
            max(cmap_dim, 1),
            self.architecture,
            self.mbstd_group_size,
            self.mbstd_num_channels,
            self.mbstd_layout,
            self.conv_clamp,
            name=f"b{min(octaves[0])}",
        )
        y = epilogue(x, image)
        if not cmap_dim:
            return y[:, 0]
        cmap = mapping.Mapping(
            0, self.c_dim, cmap_dim, None, self.mapping_layers, name="mapping"
        )
        return jnp.sum(y * cmap(None, c), axis=-1) / math.sqrt(cmap_dim)


def make_discriminator(
    *,
    resolution: image_size.Resolution,
    img_channels: int = 3,
    c_dim: int = 0,
    channel_base: int = 32768,
    channel_max: int = 512,
    architecture: str = "resnet",
    conv_clamp: float | None = 256.0,
    cmap_dim: int | None = None,
    mapping_layers: int = 8,
    mbstd_group_size: int | None = 4,
    mbstd_num_channels: int = 1,
    mbstd_layout: str = "contiguous",
    dtype: str = "float32",
    num_half_res: int = 4,
    remat: str = "none",
    lowpass: str = "bilinear",
) -> Discriminator:
    """The discriminator of all configurations.

    `cmap_dim` None is the number of channels at 4x4; for `mbstd_*` see
    minibatch_stddev. The `num_half_res` highest resolutions are computed in `dtype`.
    KNOWN has the names that settings may have. Raises SettingError for settings that
    are unknown or impossible.
    """
    given = dict(locals())
    settings.check(given, KNOWN)
    sizes.check_channels(image_size.size_of(resolution), channel_base)
    return Discriminator(**given)


KNOWN = {
    "architecture": ("orig", "skip", "resnet"),
    "mbstd_layout": minibatch_stddev.LAYOUTS,
    "lowpass": LOWPASS,
}
