"""Images as bytes."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8


def to_uint8(images: Float[Array | np.ndarray, "*shape"]) -> UInt8[Array, "*shape"]:
    """127.5 x + 128, clipped and cut to whole numbers, as the published metrics do."""
    return jnp.clip(images * 127.5 + 128, 0, 255).astype(jnp.uint8)
