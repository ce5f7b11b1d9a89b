"""Alias-free synthesis network (configurations F to R): ws to images.

Fourier features, from H on rotated and shifted as w says, pass through the layers of a
plan; the last layer makes the image. Every feature map carries a margin beyond the
canvas.
Source: Alias-Free GAN, Sec. 3 and App. F.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax.networks import layers, p4, plan
from afgan_jax.signal import activations, affine, fourier, nonlinearity

# Fourier features by the name that `input` has: whether w turns and shifts them.
INPUTS = {"fourier": False, "fourier_transformed": True}


class FourierInput(nn.Module):
    """Learned mix of waves, in a frame that w chooses: w [N w_dim] -> [N H W C].

    The frame is fixed unless `is_learned`. `transform` ([3 3] or [N 3 3], None for
    identity) maps pixels of the canvas to where they look: the inverse of the motion
    wanted of the image.
    """

    channels: int
    size: tuple[int, int]
    sampling_rate: float
    bandwidth: float
    is_learned: bool = True

    @nn.compact
    def __call__(
        self, w: Float[Array, "N w_dim"], transform: Array | None = None
    ) -> Float[Array, "N H W C"]:
        def waves():
            return fourier.sample_waves(
                self.make_rng("params"), self.channels, self.bandwidth
            )

        drawn = waves() if self.is_initializing() else (None, None)
        freqs = self.variable("buffers", "freqs", lambda: drawn[0]).value
        phases = self.variable("buffers", "phases", lambda: drawn[1]).value
        weight = self.param(
            "weight", nn.initializers.normal(1.0), (self.channels, self.channels)
        )
        matrix = self._matrix(w) if self.is_learned else jnp.eye(3)[None]
        if transform is not None:
            matrix = affine.compose(matrix, jnp.asarray(transform, matrix.dtype))
        freqs, phases = fourier.transform_waves(freqs, phases, matrix)
        x = fourier.evaluate_waves(
            freqs, phases, self.size, self.sampling_rate, self.bandwidth
        )
        x = layers.dense(x, weight)
        return jnp.broadcast_to(x, (w.shape[0], *x.shape[1:]))

    def _matrix(self, w) -> Float[Array, "N 3 3"]:
        """Rotation, then translation, from four numbers; identity to begin with."""
        head = FrameHead(name="affine")
        a, b, tx, ty = jnp.moveaxis(head(w), -1, 0)
        norm = jnp.sqrt(a * a + b * b)
        a, b, tx, ty = a / norm, b / norm, tx / norm, ty / norm
        zero, one = jnp.zeros_like(a), jnp.ones_like(a)
        rows = [[a, -b, zero], [b, a, zero], [zero, zero, one]]
        rotation = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
        return affine.compose(rotation, affine.translation(-tx, -ty))


class FrameHead(nn.Module):
    """Dense layer w -> (a, b, tx, ty) that ignores w at first and says (1, 0, 0, 0)."""

    @nn.compact
    def __call__(self, w: Float[Array, "N w_dim"]) -> Float[Array, "N 4"]:
        weight = self.param("weight", nn.initializers.zeros, (w.shape[-1], 4))
        bias = self.param("bias", lambda key: jnp.array([1.0, 0.0, 0.0, 0.0]))
        return layers.dense(w, weight, bias)


class SynthesisLayer(nn.Module):
    """x [N H W I], w [N w_dim] -> [N H2 W2 O], as `spec` says; see groups for p4.

    For `noise` see `layers.add_noise`.
    """

    spec: plan.LayerSpec
    conv_clamp: float | None = 256.0
    magnitude_ema_beta: float = 0.999

    @nn.compact
    def __call__(self, x, w, update_emas: bool = False, noise: str = "const"):
        spec = self.spec
        x = layers.cast(x, spec.dtype)
        input_gain = layers.input_gain(self, x, self.magnitude_ema_beta, update_emas)
        styles = layers.Dense(spec.in_channels, bias_init=1.0, name="affine")(w)
        kernel = (spec.conv_kernel, spec.conv_kernel)
        kernel += p4.kernel_axes(spec.symmetry)
        weight = self.param(
            "weight",
            nn.initializers.normal(1.0),
            (*kernel, spec.in_channels, spec.out_channels),
        )
        bias = self.param("bias", nn.initializers.zeros, (spec.out_channels,))
        if spec.is_rgb:
            styles = styles / math.sqrt(math.prod(weight.shape[:-1]))
        x = layers.modulated_conv(
            x,
            p4.expand_kernel(weight, spec.symmetry),
            p4.replicate(styles, spec.symmetry),
            demodulate=not spec.is_rgb,
            input_gain=input_gain,
            pad=spec.conv_kernel - 1,
        )
        if spec.noise:
            x = layers.add_noise(self, x, noise)
        bias = p4.replicate(bias, spec.symmetry)
        self.sow("intermediates", "bending", (x, bias))  # kept only if asked for
        return nonlinearity.filtered(x=x, bias=bias, **filtering(spec, self.conv_clamp))


def filtering(spec: plan.LayerSpec, clamp: float | None) -> dict:
    """The nonlinearity of a layer, as arguments of `nonlinearity.filtered`."""
    gain, slope = (1.0, 1.0) if spec.is_rgb else (math.sqrt(2), 0.2)
    return {
        "function": activations.Activation("lrelu", gain, slope, clamp),
        "up_filter": spec.up_filter,
        "down_filter": spec.down_filter,
        "up": spec.up,
        "down": spec.down,
        "pad": spec.pad,
    }


class Synthesis(nn.Module):
    """ws [N L w_dim] -> images [N R R C] in about [-1, 1].

    L is one for each layer, after the one that Fourier features are transformed by.
    """

    layers: tuple[plan.LayerSpec, ...]
    conv_clamp: float | None = 256.0
    magnitude_ema_beta: float = 0.999
    output_scale: float = 0.25
    remat: str = "none"
    input: str = "fourier_transformed"

    @property
    def training_options(self) -> dict:
        """Arguments of a call in training: noise, if any, is drawn anew each time."""
        return {"noise": "random"} if any(spec.noise for spec in self.layers) else {}

    @property
    def can_move(self) -> bool:
        """Whether a call takes a `transform`."""
        return True

    @property
    def resolution(self) -> int:
        return self.layers[-1].out_size[0]

    @property
    def img_channels(self) -> int:
        return self.layers[-1].out_channels

    @property
    def rgb_bias(self) -> tuple[str, ...]:
        """How the paths end of biases that no path length depends on."""
        return (f"{self.layers[-1].name}/bias",)

    @property
    def num_ws(self) -> int:
        return self.input_ws + len(self.layers)

    @property
    def input_ws(self) -> int:
        """How many of the ws are the input's."""
        return int(INPUTS[self.input])

    def describe(self) -> str:
        """A table of the layers."""
        return plan.describe(self.layers)

    def rows(self) -> list[dict]:
        """The layers as numbers and names."""
        return plan.rows(self.layers)

    @nn.compact
    def __call__(
        self, ws, transform=None, update_emas: bool = False, noise: str = "const"
    ):
        """`transform`: see FourierInput. With `update_emas`, magnitudes follow x."""
        first = self.layers[0]
        fourier_input = FourierInput(
            first.in_channels,
            first.in_size,
            first.in_band.rate,
            first.in_band.cutoff,
            INPUTS[self.input],
            name="input",
        )
        x = p4.replicate(fourier_input(ws[:, 0], transform), first.symmetry)
        make_layer = layers.rematerialized(SynthesisLayer, self.remat, (3, 4))
        for i, spec in enumerate(self.layers):
            layer = make_layer(
                spec, self.conv_clamp, self.magnitude_ema_beta, name=spec.name
            )
            x = layer(x, ws[:, self.input_ws + i], update_emas, noise)
        x = p4.average(x.astype(ws.dtype), first.symmetry)
        return x * self.output_scale
