"""The resizing and scaling of images that published feature networks expect.

TensorFlow 1's bilinear resizing: output pixel i is read at i * in / out (corners of
pixels coincide, not centres), without a low-pass filter; the last pixel is repeated.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num


def as_rgb(images: Num[Array | np.ndarray, "N H W C"]) -> Float[Array, "N H W 3"]:
    """Images of 0..255 in float32: grey ones repeated, transparent ones on white.

    Raises ValueError if C is not 1, 3 or 4.
    """
    channels = images.shape[-1]
    if channels not in (1, 3, 4):
        raise ValueError(f"images have {channels} channels; features take 1, 3 or 4")
    x = images.astype(jnp.float32)
    if channels == 4:
        part = x[..., 3:] / 255
        return x[..., :3] * part + 255 * (1 - part)
    return jnp.broadcast_to(x, (*x.shape[:-1], 3))


def resize(x: Float[Array, "N H W C"], size: int) -> Float[Array, "N size size C"]:
    """The images at size x size, stretched if they are not square."""
    return _along(_along(x, size, axis=2), size, axis=1)


def _along(x: jax.Array, size: int, axis: int) -> jax.Array:
    count = x.shape[axis]
    # In float32, as published: its rounding shifts pixels by up to 1e-5.
    position = np.arange(size, dtype=np.float32) * np.float32(count / size)
    lower = np.minimum(position.astype(np.int32), count - 1)
    upper = np.minimum(lower + 1, count - 1)
    part = jnp.expand_dims(position - lower, [d for d in range(4) if d != axis])
    a, b = jnp.take(x, lower, axis), jnp.take(x, upper, axis)
    return a + (b - a) * part
