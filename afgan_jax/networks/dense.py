"""Equalised dense layers, and latents of unit mean square.

A weight is stored with unit variance and scaled when used (equalised learning rate).
Source: StyleGAN2, App. B.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax.signal import activations


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
        shape = (x.shape[-1], self.features)
        weight = self.param("weight", init, shape, jnp.float32)
        constant = nn.initializers.constant(self.bias_init)
        bias = self.param("bias", constant, shape[1:], jnp.float32)
        return dense(x, weight, bias, self.activation, self.lr_multiplier)


def dense(x, weight, bias=None, activation="linear", lr_multiplier=1.0):
    """Equalised dense layer, [*N I] x [I O] -> [*N O]."""
    weight = weight * (lr_multiplier / math.sqrt(weight.shape[0]))
    # Full precision: Fourier features and styles depend on these small products.
    y = jnp.matmul(x, weight, precision="highest")
    if bias is not None:
        bias = bias * lr_multiplier
        y = y + jnp.expand_dims(bias, range(y.ndim - 1))
    return activations.Activation(activation)(y)


def normalize_2nd_moment(x: Array, axis: int = -1) -> Array:
    """x scaled to unit mean square along `axis`."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis, keepdims=True) + 1e-8)
