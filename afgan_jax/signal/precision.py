"""float32 arithmetic for arrays in half precision."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def wide(dtype: np.dtype) -> np.dtype:
    """The dtype, but float32 for half precision and bytes."""
    return np.promote_types(dtype, np.float32)


def widened(fn: Callable) -> Callable:
    """fn(x, *arrays) in float32 at least, its result rounded to the precision of x.

    Arrays of lower rank get axes in front, as in NumPy.

    Half precision loses sums over many pixels, such as the gradients of arrays that are
    broadcast to x: bfloat16 cannot add 1 to 256.
    """

    def run(x: jax.Array, *arrays: jax.Array) -> jax.Array:
        dtype = wide(x.dtype)
        lifted = (
            jnp.expand_dims(a, range(x.ndim - a.ndim)) if a.ndim else a for a in arrays
        )
        return fn(*(a.astype(dtype) for a in (x, *lifted))).astype(x.dtype)

    return run
