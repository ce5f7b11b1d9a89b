"""Arithmetic on arrays in half precision that is done in float32 inside."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def widened(fn: Callable) -> Callable:
    """fn(x, *arrays) in float32 at least, its result rounded to the precision of x.

    Sums over many pixels, as in the gradients of what is broadcast to x, would come to
    a halt in half precision: bfloat16 cannot add 1 to 256.
    """

    def run(x: jax.Array, *arrays: jax.Array) -> jax.Array:
        wide = jnp.promote_types(x.dtype, jnp.float32)
        return fn(*(a.astype(wide) for a in (x, *arrays))).astype(x.dtype)

    return run
