"""Styles, input gains and noise in the layers of a synthesis network.

Notation: s style, w convolution weight [kh kw I O], stored with unit variance.

Sources: StyleGAN2 (Sec. 2.2, App. B), Alias-Free GAN (App. D).
"""

import math
import operator

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax.signal import conv_resample, precision

add_scaled = precision.widened(lambda x, noise, strength: x + noise * strength)


def modulated_conv(
    x: Float[Array, "N H W I"],
    w: Float[Array, "kh kw I O"],
    s: Float[Array, "N I"],
    *,
    demodulate: bool = True,
    normalize: bool = True,
    input_gain: Array | None = None,
    **resampling,
) -> Float[Array, "N H2 W2 O"]:
    """Convolution with weights w_nkio = w_kio s_ni, demodulated to unit gain.

    Scales activations, not weights, so all samples share one convolution. `normalize`
    first scales w and s to unit mean square (over the whole batch for s), as in
    Alias-Free GAN. `input_gain` ([], [I] or [N I]) scales the input; demodulation does
    not see it. Further arguments are those of `conv_resample`. Styles and weights are
    float32, arrays as large as x have its precision.
    """
    if demodulate and not normalize and x.dtype == jnp.float16:
        # Large styles would overflow; demodulation removes these factors again.
        fan_in = math.prod(w.shape[:3])
        w = w / (jnp.max(jnp.abs(w), (0, 1, 2), keepdims=True) * math.sqrt(fan_in))
        s = s / jnp.max(jnp.abs(s), axis=1, keepdims=True)
    if demodulate and normalize:
        w = w * jax.lax.rsqrt(jnp.mean(jnp.square(w), (0, 1, 2), keepdims=True))
        s = s * jax.lax.rsqrt(jnp.mean(jnp.square(s)))
    scale = None
    if demodulate:
        # Tap by tap: XLA on CPU fuses a reduction into the product, on one core.
        w_energy = sum(jnp.square(tap) for row in w for tap in row)
        energy = jnp.matmul(jnp.square(s), w_energy, precision="highest")
        scale = jax.lax.rsqrt(energy + 1e-8)
    if input_gain is not None:
        s = s * input_gain
    times = precision.widened(operator.mul)
    y = conv_resample.conv_resample(times(x, s[:, None, None, :]), w, **resampling)
    return y if scale is None else times(y, scale[:, None, None, :])


def input_gain(
    module: nn.Module, x: Array, beta: float, update: bool
) -> Float[Array, ""]:
    """1 / sqrt(running mean of x^2 over batch, channels and space).

    The mean is the module's buffer `magnitude_ema`, 1 at first; an `update` takes
    effect in the same call.
    """
    magnitude = module.variable("buffers", "magnitude_ema", jnp.ones, (), jnp.float32)
    if update and not module.is_initializing():
        wide = jax.lax.stop_gradient(x.astype(precision.wide(x.dtype)))
        now = jnp.mean(jnp.square(wide))
        magnitude.value = now + beta * (magnitude.value - now)
    return jax.lax.rsqrt(magnitude.value)


def add_noise(module: nn.Module, x: Float[Array, "N H W C"], kind: str) -> Array:
    """x + strength * normal noise, the same for all channels (StyleGAN2).

    `kind` "random" draws noise in every call, "const" uses the module's buffer
    noise_const, [H W] or [N H W], "none" adds nothing. The strength is learned, from 0.
    """
    strength = module.param("noise_strength", nn.initializers.zeros, (), jnp.float32)
    constant = module.variable(
        "buffers",
        "noise_const",
        lambda: jax.random.normal(module.make_rng("params"), x.shape[1:3], jnp.float32),
    )
    if kind == "none":
        return x
    noise = constant.value[..., None]
    if kind == "random":
        shape = (*x.shape[:3], 1)
        noise = jax.random.normal(module.make_rng("noise"), shape, x.dtype)
    return add_scaled(x, noise, strength)
