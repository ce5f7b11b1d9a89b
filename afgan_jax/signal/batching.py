"""Images with any number of leading dimensions."""

import math
from collections.abc import Callable

import jax


def over_images(fn: Callable, x: jax.Array) -> jax.Array:
    """fn, which takes [N H W C], of images [*N H W C]; [H W C] is one image.

    Raises ValueError for fewer dimensions.
    """
    if x.ndim == 4:
        return fn(x)
    if x.ndim < 3:
        raise ValueError(
            f"an array of shape {x.shape} holds no images: give [..., height, width,"
            " channels]"
        )
    batch, image = x.shape[:-3], x.shape[-3:]
    y = fn(x.reshape(math.prod(batch), *image))
    return y.reshape(*batch, *y.shape[1:])
