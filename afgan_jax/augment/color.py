"""Brightness, contrast, inversion, hue and saturation as one matrix for each image.

A matrix acts on colours as columns (r, g, b, 1) in [-1, 1]; nothing is clipped. v is
the direction of grey, (1, 1, 1) / sqrt(3). A grey image is treated as three equal
channels, whose mean is the result; hue and saturation do not apply to it. Transparency,
a fourth channel, stays as it is.

Source: Training Generative Adversarial Networks with Limited Data, App. B.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.augment import draws

CHANNELS = (1, 3, 4)


def _constant(matrix) -> np.ndarray:
    """[1 4 4]."""
    return np.float32(matrix)[None]


_V = np.array([1, 1, 1, 0]) / np.sqrt(3)
_ONE = _constant(np.eye(4))
_HOMOGENEOUS = _constant(np.diag([0, 0, 0, 1]))
_SHIFT = _constant(np.outer([1, 1, 1, 0], [0, 0, 0, 1]))
_GREY = _constant(np.outer(_V, _V))  # keeps only the brightness
_NOT_GREY = _constant(np.eye(4) - np.outer(_V, _V))
_COLOUR = _constant(np.diag([1, 1, 1, 0]) - np.outer(_V, _V))
_CROSS = _constant(
    np.array([[0, -1, 1, 0], [1, 0, -1, 0], [-1, 1, 0, 0], [0] * 4]) / np.sqrt(3)
)


# Functions of a value, in the order in which they act on a colour.
STEPS = {
    "brightness": lambda b: _ONE + b * _SHIFT,
    "contrast": lambda c: c * (_ONE - _HOMOGENEOUS) + _HOMOGENEOUS,
    "lumaflip": lambda i: _ONE - 2 * _GREY * i,
    # Rotation by theta about v (Rodrigues).
    "hue": lambda theta: (
        _GREY + (jnp.cos(theta) * _COLOUR + jnp.sin(theta) * _CROSS) + _HOMOGENEOUS
    ),
    # Scales the last entry too, as published; nothing reads it.
    "saturation": lambda s: _GREY + _NOT_GREY * s,
}
OF_COLOURED = ("hue", "saturation")


def color_matrix(values: draws.Values, channels: int) -> Float[Array, "N 4 4"] | None:
    """Old to new colours; None if none of STEPS is among the values and applies."""
    matrix = None
    for name, step in STEPS.items():
        if name in values and (channels > 1 or name not in OF_COLOURED):
            new = step(values[name][:, :, None])
            if matrix is not None:
                new = jnp.matmul(new, matrix, precision="highest")
            matrix = new
    return matrix


def recolor(
    images: Float[Array, "N H W C"], matrix: Float[Array, "N 4 4"]
) -> Float[Array, "N H W C"]:
    """Images whose colours are multiplied by the matrix."""
    if images.shape[3] == 4:
        colors = recolor(images[..., :3], matrix)
        return jnp.concatenate([colors, images[..., 3:]], axis=3)
    linear, shift = matrix[:, :3, :3], matrix[:, :3, 3]
    if images.shape[3] == 1:
        linear = jnp.mean(jnp.sum(linear, axis=2, keepdims=True), axis=1, keepdims=True)
        shift = jnp.mean(shift, axis=1, keepdims=True)
    mixed = jnp.einsum("nhwc,ndc->nhwd", images, linear, precision="highest")
    return mixed + shift[:, None, None, :]
