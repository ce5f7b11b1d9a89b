"""Alias-free synthesis network (configurations F to R): ws to images.

Fourier features, transformed by w from H on, go through the layers of a plan; the last
one makes the image. Every feature map has a margin around the canvas.
Source: Alias-Free GAN, Sec. 3 and App. F.
"""

import inspect
import math

import flax.linen as nn
import jax.numpy as jnp

from afgan_jax import errors, image_size
from afgan_jax.networks import (
    dense,
    fourier_input,
    half_precision,
    layered,
    lowpass,
    modulation,
    p4,
    plan,
    rematerialization,
    schedules,
    settings,
)
from afgan_jax.signal import activations, nonlinearity


class SynthesisLayer(nn.Module):
    """x [N H W I], w [N w_dim] -> [N H2 W2 O]; for `noise` see modulation.add_noise."""

    spec: plan.LayerSpec
    conv_clamp: float | None
    magnitude_ema_beta: float

    @nn.compact
    def __call__(self, x, w, update_emas: bool = False, noise: str = "const"):
        spec = self.spec
        x = half_precision.cast(x, spec.dtype)
        input_gain = modulation.input_gain(
            self, x, self.magnitude_ema_beta, update_emas
        )
        styles = dense.Dense(spec.in_channels, bias_init=1.0, name="affine")(w)
        kernel = (spec.conv_kernel, spec.conv_kernel)
        kernel += p4.kernel_axes(spec.symmetry)
        weight = self.param(
            "weight",
            nn.initializers.normal(1.0),
            (*kernel, spec.in_channels, spec.out_channels),
            jnp.float32,
        )
        shape = (spec.out_channels,)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        if spec.is_rgb:
            styles = styles / math.sqrt(math.prod(weight.shape[:-1]))
        x = modulation.modulated_conv(
            x,
            p4.expand_kernel(weight, spec.symmetry),
            p4.replicate(styles, spec.symmetry),
            demodulate=not spec.is_rgb,
            input_gain=input_gain,
            pad=spec.conv_kernel - 1,
        )
        if spec.noise:
            x = modulation.add_noise(self, x, noise)
        bias = p4.replicate(bias, spec.symmetry)
        self.sow("intermediates", "pre_activation", (x, bias))  # kept if asked for
        return nonlinearity.filtered(x=x, bias=bias, **filtering(spec, self.conv_clamp))


def filtering(spec: plan.LayerSpec, clamp: float | None) -> dict:
    """Arguments of `nonlinearity.filtered` for the nonlinearity of a layer."""
    gain, slope = (1.0, 1.0) if spec.is_rgb else (math.sqrt(2), 0.2)
    return {
        "function": activations.Activation("lrelu", gain, slope, clamp),
        "up_filter": spec.up_filter,
        "down_filter": spec.down_filter,
        "up": spec.up,
        "down": spec.down,
        "pad": spec.pad,
    }


class Synthesis(layered.Layered):
    """ws [N L w_dim] -> images [N H W C]; see protocol.SynthesisNetwork.

    The first w transforms the Fourier features, if anything does; each layer has one.
    """

    layers: tuple[plan.LayerSpec, ...]
    conv_clamp: float | None
    magnitude_ema_beta: float
    output_scale: float
    remat: str
    input: str

    has_bands = True
    can_move = True

    @property
    def size(self) -> image_size.Size:
        return self.layers[-1].out_size

    @property
    def rgb_bias(self) -> tuple[str, ...]:
        return (f"{self.layers[-1].name}/bias",)

    @property
    def num_ws(self) -> int:
        return self.input_ws + len(self.layers)

    @property
    def input_ws(self) -> int:
        return int(fourier_input.INPUTS[self.input])

    @property
    def layers_of_ws(self) -> tuple[tuple[str, ...], ...]:
        return (("input",),) * self.input_ws + tuple((s.name,) for s in self.layers)

    @nn.compact
    def __call__(
        self, ws, transform=None, update_emas: bool = False, noise: str = "const"
    ):
        first = self.layers[0]
        features = fourier_input.FourierInput(
            first.in_channels,
            first.in_size,
            first.in_band.rate,
            first.in_band.cutoff,
            fourier_input.INPUTS[self.input],
            name="input",
        )
        x = p4.replicate(features(ws[:, 0], transform), first.symmetry)
        make_layer = rematerialization.rematerialized(
            SynthesisLayer, self.remat, (3, 4)
        )
        for i, spec in enumerate(self.layers):
            layer = make_layer(
                spec, self.conv_clamp, self.magnitude_ema_beta, name=spec.name
            )
            x = layer(x, ws[:, self.input_ws + i], update_emas, noise)
        x = p4.average(x.astype(ws.dtype), first.symmetry)
        return x * self.output_scale


def make_synthesis(
    *,
    resolution: image_size.Resolution,
    img_channels: int = 3,
    channel_base: int = 32768,
    channel_max: int = 512,
    input: str = "fourier_transformed",
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
    lowpass: str = "kaiser",
    radial: bool = False,
    noise: bool = False,
    symmetry: str = "none",
    conv_clamp: float | None = 256.0,
    magnitude_ema_beta: float = 0.999,
    output_scale: float = 0.25,
    dtype: str = "float32",
    num_half_res: int = 4,
    remat: str = "none",
) -> Synthesis:
    """Configuration T by default.

    R: conv_kernel=1, radial=True, channel_base and channel_max doubled. T equivariant
    to quarter turns: symmetry="p4", channel_base and channel_max (of each of 4
    directions) halved. KNOWN has the names that settings may have; for the other
    settings see plan.make_plan. Raises SettingError for settings that are unknown,
    impossible or do not apply to the schedule.
    """
    given = dict(locals())
    settings.check(given, KNOWN)
    if schedule != "flexible":
        _check_growth(given)
    own = {name: given.pop(name) for name in OWN}
    return Synthesis(plan.make_plan(**given), **own)


KNOWN = {
    "input": fourier_input.INPUTS,
    "schedule": schedules.SCHEDULES,
    "lowpass": lowpass.DESIGNS,
    "symmetry": p4.ORDERS,
}
OWN = ("conv_clamp", "magnitude_ema_beta", "output_scale", "remat", "input")
GROWTH = ("num_layers", "first_cutoff", "first_stopband", "last_stopband_rel")


def _check_growth(given: dict) -> None:
    """Raises SettingError if a setting of schedule "flexible" alone is changed."""
    defaults = inspect.signature(make_synthesis).parameters
    for name in GROWTH:
        if given[name] != defaults[name].default:
            why = f"does not apply to schedule={given['schedule']!r}: remove it"
            raise errors.SettingError(name, given[name], why)
