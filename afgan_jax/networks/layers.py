"""Equalised dense layers, modulated and resampling convolutions, minibatch statistics.

Functions are pure; a weight is stored with unit variance and scaled when used
(equalised learning rate). Notation: s style, w convolution weight [kh kw I O].

Sources: StyleGAN2 (Sec. 2.2, App. B), Alias-Free GAN (App. D).
"""

import math
import operator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from afgan_jax.signal import activations, convolve, precision, resample

add_scaled = precision.widened(lambda x, noise, strength: x + noise * strength)
DTYPES = ("float32", "bfloat16", "float16")
# What a layer (of StyleGAN2 and D, a block) keeps for its backward pass beside its
# input, as policies of jax.checkpoint; the rest is computed again. "none" computes
# nothing again, "conv" no convolution and no resampling around one.
REMAT = {
    "none": None,
    "conv": jax.checkpoint_policies.save_only_these_names("conv"),
    "layer": jax.checkpoint_policies.nothing_saveable,
}


def dtype_at(rate: float, resolution: int, dtype: str, num_half_res: int) -> str:
    """`dtype` for the `num_half_res` highest resolutions, float32 below them."""
    return dtype if rate * 2**num_half_res > resolution else "float32"


def cast(x: Array, dtype: str) -> Array:
    """x in half precision, or in float32 at least."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return x.astype(wide if dtype == "float32" else dtype)


def check_precision(settings: dict) -> None:
    """Raises ValueError for an unknown dtype or remat, and for float16 unclamped."""
    for name, known in (("dtype", DTYPES), ("remat", tuple(REMAT))):
        if settings[name] not in known:
            raise ValueError(
                f"{name}={settings[name]!r} is unknown: use one of {', '.join(known)}"
            )
    if settings["num_half_res"] < 0:
        raise ValueError(f"num_half_res={settings['num_half_res']} must be at least 0")
    if settings["dtype"] == "float16" and settings["conv_clamp"] is None:
        raise ValueError(
            "dtype='float16' overflows without conv_clamp: set conv_clamp to 256, or"
            " dtype to 'bfloat16'"
        )


def rematerialized(module, choice: str, static_argnums: tuple[int, ...] = ()):
    """The module class, with its backward pass as REMAT[choice] says (self is 0)."""
    if choice == "none":
        return module
    return nn.remat(module, policy=REMAT[choice], static_argnums=static_argnums)


class Dense(nn.Module):
    """act(x W lr / sqrt(in) + b lr): [*N in] -> [*N features].

    Stored weights start as N(0, 1) / lr_multiplier and the stored bias at `bias_init`.
    """

    features: int
    activation: str = "linear"
    lr_multiplier: float = 1.0
    bias_init: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "*N I"]) -> Float[Array, "*N O"]:
        init = nn.initializers.normal(1 / self.lr_multiplier)
        weight = self.param("weight", init, (x.shape[-1], self.features))
        bias = self.param(
            "bias", nn.initializers.constant(self.bias_init), (self.features,)
        )
        return dense(x, weight, bias, self.activation, self.lr_multiplier)


def dense(x, weight, bias=None, activation="linear", lr_multiplier=1.0):
    """Equalised dense layer, [*N I] x [I O] -> [*N O]."""
    weight = weight * (lr_multiplier / math.sqrt(weight.shape[0]))
    # Small products, but Fourier features and styles pass through them: full precision.
    y = jnp.matmul(x, weight, precision="highest")
    if bias is not None:
        y = y + bias * lr_multiplier
    return activations.Activation(activation)(y)


def check_sizes(settings: dict, *names: str) -> None:
    """Raises ValueError unless each of these settings is at least 1, or None."""
    for name in names:
        if settings[name] is not None and settings[name] < 1:
            raise ValueError(f"{name}={settings[name]} must be at least 1")


def check_above_0(settings: dict, *names: str) -> None:
    """Raises ValueError unless each of these settings is above 0 and finite."""
    for name in names:
        if not 0 < settings[name] < math.inf:
            raise ValueError(f"{name}={settings[name]} must be above 0 and finite")


def check_not_negative(settings: dict, *names: str) -> None:
    """Raises ValueError unless each of these settings is at least 0, or None."""
    for name in names:
        if settings[name] is not None and settings[name] < 0:
            raise ValueError(f"{name}={settings[name]} must be at least 0")


def normalize_2nd_moment(x: Array, axis: int = -1) -> Array:
    """x scaled to unit mean square along `axis`."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis, keepdims=True) + 1e-8)


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
    first scales w and s to unit mean square (over the whole batch for s), the form of
    Alias-Free GAN; `input_gain` ([], [I] or [N I]) multiplies the input after
    demodulation. Further arguments are those of `conv_resample`. Styles, weights and
    their energy are float32; what is as large as x has its precision.
    """
    if demodulate and not normalize and x.dtype == jnp.float16:
        # Large styles would overflow; demodulation takes these factors out again.
        fan_in = math.prod(w.shape[:3])
        w = w / (jnp.max(jnp.abs(w), (0, 1, 2), keepdims=True) * math.sqrt(fan_in))
        s = s / jnp.max(jnp.abs(s), axis=1, keepdims=True)
    if demodulate and normalize:
        w = w * jax.lax.rsqrt(jnp.mean(jnp.square(w), (0, 1, 2), keepdims=True))
        s = s * jax.lax.rsqrt(jnp.mean(jnp.square(s)))
    scale = None
    if demodulate:
        # Tap by tap: XLA on CPU draws a reduction into the product, on one core.
        w_energy = sum(jnp.square(tap) for row in w for tap in row)
        energy = jnp.matmul(jnp.square(s), w_energy, precision="highest")
        scale = jax.lax.rsqrt(energy + 1e-8)
    if input_gain is not None:
        s = s * input_gain
    times = precision.widened(operator.mul)
    y = conv_resample(times(x, s[:, None, None, :]), w, **resampling)
    return y if scale is None else times(y, scale[:, None, None, :])


def conv_resample(
    x: Float[Array, "*N H W I"],
    w: Float[Array, "kh kw I O"],
    *,
    f: np.ndarray | None = None,
    up: int = 1,
    down: int = 1,
    pad: resample.Pad = 0,
    flip_weight: bool = False,
) -> Float[Array, "*N H2 W2 O"]:
    """Upsample with `f`, pad, correlate with w, filter and decimate with `f`.

    `pad` is on top of the padding that keeps the canvas in place. flip_weight=True
    turns correlation into convolution. Orders are swapped to work at the lower rate.
    """
    w = (w[::-1, ::-1] if flip_weight else w).astype(x.dtype)
    y = _conv_resample(x, w, f, up, down, pad)
    return checkpoint_name(y, "conv")


def _conv_resample(x, w, f, up: int, down: int, pad: resample.Pad):
    taps = (1, 1) if f is None else (f.size, f.size) if f.ndim == 1 else f.shape
    pad = (pad, pad) if isinstance(pad, int) else pad
    pads = [(p, p) if isinstance(p, int) else p for p in pad]
    if up > 1:
        pads = [
            (lo + (k + up - 1) // 2, hi + (k - up) // 2)
            for (lo, hi), k in zip(pads, taps)
        ]
    if down > 1:
        pads = [
            (lo + (k - down + 1) // 2, hi + (k - down) // 2)
            for (lo, hi), k in zip(pads, taps)
        ]
    pads = tuple(pads)
    if up == 1 and down == 1:
        return convolve.conv(x, w, pad=pads)
    if up == 1:
        if w.shape[:2] == (1, 1):
            x = checkpoint_name(resample.upfirdn(x, f, down=down, pad=pads), "conv")
            return convolve.conv(x, w)
        x = checkpoint_name(resample.upfirdn(x, f, pad=pads), "conv")
        return convolve.conv(x, w, stride=down)
    gain = float(up * up)
    if w.shape[:2] == (1, 1):
        y = resample.upfirdn(convolve.conv(x, w), f, up=up, pad=pads, gain=gain)
    else:
        trailing = tuple((lo, hi + up - 1) for lo, hi in pads)
        y = convolve.conv(x, w, up=up, pad=trailing)
        y = resample.upfirdn(y, f, gain=gain)
    return y if down == 1 else resample.upfirdn(y, f, down=down)


def input_gain(
    module: nn.Module, x: Array, beta: float, update: bool
) -> Float[Array, ""]:
    """1 / sqrt(running mean of x^2 over batch, channels and space), for a convolution.

    The mean is the module's buffer `magnitude_ema`, 1 at first; an `update` takes
    effect in the same call.
    """
    magnitude = module.variable("buffers", "magnitude_ema", jnp.ones, ())
    if update and not module.is_initializing():
        wide = jax.lax.stop_gradient(x.astype(jnp.promote_types(x.dtype, "f4")))
        now = jnp.mean(jnp.square(wide))
        magnitude.value = now + beta * (magnitude.value - now)
    return jax.lax.rsqrt(magnitude.value)


def add_noise(module: nn.Module, x: Float[Array, "N H W C"], kind: str) -> Array:
    """x + strength * normal noise, the same for all channels (StyleGAN2).

    `kind` "random" draws it anew, "const" takes the module's buffer noise_const [H W],
    which may also be given as [N H W], "none" adds nothing. The strength is learned,
    from 0.
    """
    strength = module.param("noise_strength", nn.initializers.zeros, ())
    constant = module.variable(
        "buffers",
        "noise_const",
        lambda: jax.random.normal(module.make_rng("params"), x.shape[1:3]),
    )
    if kind == "none":
        return x
    noise = constant.value[..., None]
    if kind == "random":
        shape = (*x.shape[:3], 1)
        noise = jax.random.normal(module.make_rng("noise"), shape, x.dtype)
    return add_scaled(x, noise, strength)


def minibatch_stddev(
    x: Float[Array, "N H W C"],
    group_size: int | None = 4,
    num_channels: int = 1,
    layout: str = "contiguous",
) -> Float[Array, "N H W C2"]:
    """Append `num_channels` maps: the standard deviation over groups of samples.

    Groups are blocks of neighbours ("contiguous": no traffic between devices) or, as
    published, every M-th sample ("interleaved", M groups). The batch is the global one.
    Raises ValueError if the batch is not a multiple of the group size.
    """
    n, h, w, c = x.shape
    size = n if group_size is None else min(group_size, n)
    if n % size:
        raise ValueError(f"batch of {n} is not a multiple of mbstd_group_size={size}")
    if layout == "contiguous":
        y = x.reshape(n // size, size, h, w, num_channels, c // num_channels)
        y = y.swapaxes(0, 1)
    else:
        y = x.reshape(size, n // size, h, w, num_channels, c // num_channels)
    deviation = jnp.sqrt(jnp.var(y, axis=0) + 1e-8)  # [M H W F C/F]
    statistic = jnp.mean(deviation, axis=(1, 2, 4))  # [M F]
    if layout == "contiguous":
        statistic = jnp.repeat(statistic, size, axis=0)
    else:
        statistic = jnp.tile(statistic, (size, 1))
    maps = jnp.broadcast_to(statistic[:, None, None, :], (n, h, w, num_channels))
    return jnp.concatenate([x, maps.astype(x.dtype)], axis=-1)
