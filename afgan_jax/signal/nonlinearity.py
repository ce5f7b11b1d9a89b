"""The filtered nonlinearity and its derivative rule.

A pointwise function of a sampled signal creates frequencies without bound. The
filtered form evaluates it at a higher sampling rate and low-passes the result before
decimating (Alias-Free GAN, Sec. 3.2 and App. D): y = D act(U (x + bias)), with U and D
resamplings. Only x is kept for the derivative, which recomputes U x.
"""

import functools
import math
import operator
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float

from afgan_jax import errors
from afgan_jax.signal import batching, precision, resample
from afgan_jax.signal.activations import Activation
from afgan_jax.signal.backends import dispatch
from afgan_jax.signal.operators import FilteredActivation


def filtered_lrelu(
    x: Float[Array, "*N H W C"],
    bias: Float[Array, " C"] | None,
    up_filter: np.ndarray | None,
    down_filter: np.ndarray | None,
    *,
    up: int = 1,
    down: int = 1,
    pad: resample.Pad = 0,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    implementation: str | None = None,
) -> Float[Array, "*N H2 W2 C"]:
    """Leaky ReLU evaluated at `up` times the rate, low-passed, decimated by `down`.

    `pad` is (vertical, horizontal) padding in upsampled pixels, cropping where
    negative; `clamp` acts before `down_filter`. Raises ValueError as `upfirdn` does.
    """
    act = Activation("lrelu", gain, slope, clamp)
    how = {"up": up, "down": down, "pad": pad, "implementation": implementation}
    return filtered(x, act, up_filter, down_filter, bias=bias, **how)


def filtered(
    x: Float[Array, "*N H W C"],
    function: Callable,
    up_filter: np.ndarray | None,
    down_filter: np.ndarray | None,
    *parameters: jax.Array,
    bias: Float[Array, " C"] | None = None,
    up: int = 1,
    down: int = 1,
    pad: resample.Pad = 0,
    implementation: str | None = None,
) -> Float[Array, "*N H2 W2 C"]:
    """`filtered_lrelu` with any elementwise function, such as jnp.tanh.

    `function(x, *parameters)` must be hashable and not close over traced arrays: pass
    them as `parameters`, [] or [C] each, which have derivatives too. `implementation`
    is one of "filtered" in `dispatch.IMPLEMENTATIONS`, for functions without
    parameters; None leaves the choice to the table. Raises ValueError as `upfirdn`
    does, and for an implementation that is unknown or given with parameters.
    """
    gain = float(up * up)
    to_fine = resample.make_resampling(
        x.shape[-3:-1], up_filter, up=up, pad=pad, gain=gain
    )
    to_coarse = resample.make_resampling(to_fine.size_out, down_filter, down=down)
    if bias is not None:
        x = precision.widened(operator.add)(x, bias)
    if parameters:
        if implementation is not None:
            why = "takes no parameters: leave it out"
            raise errors.SettingError("implementation", implementation, why)
        run = functools.partial(_with_parameters, function, to_fine, to_coarse)
        return batching.over_images(lambda x: run(x, *parameters), x)
    implementation = dispatch.wish("filtered", implementation)
    op = FilteredActivation(function, to_fine, to_coarse, implementation)
    return batching.over_images(functools.partial(apply, op), x)


@functools.partial(jax.checkpoint, static_argnums=(0, 1, 2))
def _with_parameters(function, to_fine, to_coarse, x, *parameters) -> jax.Array:
    """Composed of differentiable operations; only x is kept for the derivative."""
    fine = function(resample.apply(to_fine, x), *parameters)
    return resample.apply(to_coarse, fine.astype(x.dtype))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def apply(op: FilteredActivation, x: jax.Array) -> jax.Array:
    """Apply a filtered activation; reverse-mode differentiable to any order."""
    return dispatch.lower("filtered", op, x, wish=op.implementation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pull_back(op: FilteredActivation, x: jax.Array, ct: jax.Array) -> jax.Array:
    return dispatch.lower("filtered_gradient", op, x, ct, wish=op.implementation)


def _pull_back_of_parts(op: FilteredActivation, x: jax.Array, ct: jax.Array):
    """_pull_back, composed of differentiable operations: for the second derivative."""
    _, pull = jax.vjp(op.activation, resample.apply(op.up, x))
    (fine,) = pull(resample.apply(op.down.transposed(), ct))
    return resample.apply(op.up.transposed(), fine)


apply.defvjp(
    lambda op, x: (apply(op, x), x), lambda op, x, ct: (_pull_back(op, x, ct),)
)
_pull_back.defvjp(
    lambda op, x, ct: jax.vjp(functools.partial(_pull_back_of_parts, op), x, ct),
    lambda op, pull, ct: pull(ct),
)
