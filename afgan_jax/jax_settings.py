"""JAX's process-wide settings, on which results must not depend.

Such a setting comes from the environment (JAX_ENABLE_X64=1) or from a notebook. Code
here states what it means instead: dtypes and the ranks of operands where arrays are
made, copies between host and devices, the implementation of keys. What JAX and other
libraries leave to settings, `fixed` fixes where a result is asked for. Of the settings
in RECORDED, which are for the user to choose, a run keeps the values.
"""

import contextlib
import functools
from collections.abc import Iterator

import jax
import numpy as np

KEYS = "threefry2x32"
FIX = "leave it out, or change it"
RECORDED = ("jax_default_matmul_precision", "jax_disable_jit")

# Copies between host and devices in this context are meant: scalars, small tables.
transfers = functools.partial(jax.transfer_guard, "allow")


def key(seed: int) -> jax.Array:
    """The key of a seed, of which 32 bits count, for the same draws everywhere."""
    with transfers():
        return jax.random.key(np.uint32(seed % 2**32), impl=KEYS)


def wrapped(data: jax.Array) -> jax.Array:
    """The key of jax.random.key_data(key)."""
    return jax.random.wrap_key_data(data, impl=KEYS)


@contextlib.contextmanager
def fixed() -> Iterator[None]:
    """Programs made in this context, also a decorator, are those of JAX's defaults.

    Explicit dtypes are not enough for the same bits: JAX counts loops in 64 bits, for
    which compilers round differently.
    """
    with enable_x64(False), jax.threefry_partitionable(True):
        yield


@contextlib.contextmanager
def usual_promotion() -> Iterator[None]:
    """For libraries that leave dtypes and ranks of operands to JAX's settings."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        with enable_x64(False):
            yield


def recorded() -> dict[str, str | bool | None]:
    """The values of RECORDED."""
    return {name: getattr(jax.config, name) for name in RECORDED}


def refusal(error: BaseException) -> str | None:
    """What JAX refuses, in a line with the fix, if that raised this error."""
    if "Disallowed" in str(error) and "transfer" in str(error):
        return (
            f"jax_transfer_guard={jax.config.jax_transfer_guard} forbids a copy: {FIX}"
        )
    try:
        jax.devices()
    except Exception as failure:  # of half a dozen types, some without a text
        why = " ".join(str(failure).split()) or "there are none on this machine"
        wanted = jax.config.jax_platforms or ""
        return f"JAX_PLATFORMS={wanted} gives no devices ({why}): {FIX}"
    return None


def enable_x64(on: bool):
    """The context of jax_enable_x64."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(on)
    from jax import experimental  # before JAX 0.8

    return experimental.enable_x64(on)
