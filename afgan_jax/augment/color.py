"""Brightness, contrast, inversion, hue and saturation as one matrix for each image.

A matrix acts on colours as columns (r, g, b, 1) in [-1, 1]; nothing is clipped. v is
the direction of grey, (1, 1, 1) / sqrt(3). In grey images the colour is the one channel
three times, the result the mean of the three; hue and saturation do not exist there.

Source: Training Generative Adversarial Networks with Limited Data, App. B.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.augment import draws

CHANNELS = (1, 3)
_V = np.array([1, 1, 1, 0]) / np.sqrt(3)
_GREY = np.outer(_V, _V)  # keeps the brightness alone
_CROSS = np.array([[0, -1, 1, 0], [1, 0, -1, 0], [-1, 1, 0, 0], [0] * 4]) / np.sqrt(3)
_HOMOGENEOUS = np.diag([0, 0, 0, 1])
_COLOUR = np.eye(4) - _GREY - _HOMOGENEOUS  # keeps what is not brightness


def _brightness(b):
    shift = np.outer([1, 1, 1, 0], [0, 0, 0, 1])
    return np.eye(4) + b * shift


def _contrast(c):
    return c * (np.eye(4) - _HOMOGENEOUS) + _HOMOGENEOUS


def _luma_flip(i):
    return np.eye(4) - 2 * _GREY * i


def _hue(theta):
    """Rotation by theta about v (Rodrigues)."""
    turned = jnp.cos(theta) * _COLOUR + jnp.sin(theta) * _CROSS
    return _GREY + turned + _HOMOGENEOUS


def _saturation(s):
    # Scales the last entry too, as published: nothing reads it.
    return _GREY + (np.eye(4) - _GREY) * s


# The first acts first on a colour.
STEPS = {
    "brightness": _brightness,
    "contrast": _contrast,
    "lumaflip": _luma_flip,
    "hue": _hue,
    "saturation": _saturation,
}
OF_COLOURED = ("hue", "saturation")


def color_matrix(values: draws.Values, channels: int) -> Float[Array, "N 4 4"] | None:
    """Old to new colours; None if no step for so many channels is among the values."""
    matrix = None
    for name, step in STEPS.items():
        if name in values and (channels > 1 or name not in OF_COLOURED):
            new = step(values[name][:, :, None])
            matrix = new if matrix is None else _matmul(new, matrix)
    return matrix


def recolor(
    images: Float[Array, "N H W C"], matrix: Float[Array, "N 4 4"]
) -> Float[Array, "N H W C"]:
    """Every pixel's colour through the matrix."""
    linear, shift = matrix[:, :3, :3], matrix[:, :3, 3]
    if images.shape[3] == 1:
        linear = jnp.mean(jnp.sum(linear, axis=2, keepdims=True), axis=1, keepdims=True)
        shift = jnp.mean(shift, axis=1, keepdims=True)
    mixed = jnp.einsum("nhwc,ndc->nhwd", images, linear, precision="highest")
    return mixed + shift[:, None, None, :]


def _matmul(a, b):
    return jnp.matmul(a, b, precision="highest")
