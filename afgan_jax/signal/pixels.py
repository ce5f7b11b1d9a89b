"""Images as bytes."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8


def to_uint8(
    images: Float[Array | np.ndarray, "*shape"],
) -> UInt8[Array | np.ndarray, "*shape"]:
    """127.5 x + 128, clipped and truncated, as in the published metrics."""
    numpy = jnp if isinstance(images, jax.Array) else np
    return numpy.clip(images * 127.5 + 128, 0, 255).astype(numpy.uint8)
