"""JAX's process-wide settings, on which results must not depend.

Such a setting comes from the environment (JAX_ENABLE_X64=1) or from a notebook. Code
here states what it means instead: dtypes and the ranks of operands where arrays are
made, and the implementation of keys, which `key` fixes.
"""

import contextlib
import functools

import jax
import numpy as np

KEYS = "threefry2x32"


def key(seed: int) -> jax.Array:
    """The key of a seed, of which 32 bits count, for the same draws everywhere."""
    with transfers():
        return jax.random.key(np.uint32(seed % 2**32), impl=KEYS)


def wrapped(data: jax.Array) -> jax.Array:
    """The key of jax.random.key_data(key)."""
    return jax.random.wrap_key_data(data, impl=KEYS)


# Copies between host and devices in this context are meant: scalars, small tables.
transfers = functools.partial(jax.transfer_guard, "allow")


@contextlib.contextmanager
def usual_promotion():
    """Scalars and dtypes as usual, for libraries that leave them to JAX's settings."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        with jax.numpy_rank_promotion("allow"):
            yield
