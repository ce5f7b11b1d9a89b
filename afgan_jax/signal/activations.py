"""Pointwise activation functions with a gain and a clamp, by name.

`Activation` is a hashable function, ACTIVATIONS the table of its names.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp


def _scaled(function: Callable) -> Callable:
    """gain * function(x), clipped."""

    def scaled(gain, slope, clamp, x):
        y = function(x) * gain
        return y if clamp is None else jnp.clip(y, -clamp, clamp)

    return scaled


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _leaky_relu(gain: float, slope: float, clamp: float | None, x: jax.Array):
    """clip(gain * leaky_relu(x)), in few vector operations, as is its derivative."""
    pick = jnp.maximum if gain * slope <= gain else jnp.minimum
    y = pick(gain * x, gain * slope * x)
    return y if clamp is None else jnp.clip(y, -clamp, clamp)


@_leaky_relu.defjvp
def _leaky_relu_jvp(gain, slope, clamp, primals, tangents):
    (x,), (tangent,) = primals, tangents
    factor = jnp.where(x >= 0, jnp.asarray(gain, x.dtype), gain * slope)
    if clamp is not None:
        low, high = (clamp / max(abs(g), 1e-30) for g in (gain * slope, gain))
        factor = jnp.where(jnp.clip(x, -low, high) == x, factor, 0)
    return _leaky_relu(gain, slope, clamp, x), tangent * factor


# name: (function(gain, slope, clamp, x), the usual gain)
ACTIVATIONS: dict[str, tuple[Callable, float]] = {
    "linear": (_scaled(lambda x: x), 1.0),
    "relu": (_scaled(jax.nn.relu), math.sqrt(2)),
    "lrelu": (_leaky_relu, math.sqrt(2)),
    "tanh": (_scaled(jnp.tanh), 1.0),
    "sigmoid": (_scaled(jax.nn.sigmoid), 1.0),
    "elu": (_scaled(jax.nn.elu), 1.0),
    "selu": (_scaled(jax.nn.selu), 1.0),
    "softplus": (_scaled(jax.nn.softplus), 1.0),
    "swish": (_scaled(jax.nn.silu), math.sqrt(2)),
}


@dataclasses.dataclass(frozen=True)
class Activation:
    """x -> clip(gain * act(x), -clamp, clamp); None is the usual gain, or no clamp.

    The derivative is zero where the result is clipped. `slope` is that of "lrelu".
    """

    name: str = "lrelu"
    gain: float | None = None
    slope: float = 0.2
    clamp: float | None = None

    def __call__(self, x: jax.Array) -> jax.Array:
        function, usual_gain = ACTIVATIONS[self.name]
        gain = usual_gain if self.gain is None else self.gain
        return function(gain, self.slope, self.clamp, x)
