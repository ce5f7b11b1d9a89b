"""3x3 matrices for motions of the plane, shared by input, augmentation and metrics.

Points are columns (x, y, 1): x to the right, y down, the image centre at 0. Lengths are
in units of the image's shorter side unless a caller says otherwise; angles are in
radians.

A matrix here can mean two things, one the inverse of the other:
    motion          where a point goes:         p_new = motion @ p_old
    user transform  where a point comes from:   p_old = transform @ p_new
A generator takes a user transform: to move the image by (tx, ty), pass
translation(-tx, -ty). `user_transform` makes it for an image rotated by theta
(counterclockwise on screen) and then moved.

Source: Alias-Free GAN, Sec. 3.2 (transformed Fourier features).
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from afgan_jax.signal import precision

Matrix = Float[Array, "*batch 3 3"]


def translation(tx: ArrayLike, ty: ArrayLike) -> Matrix:
    """[[1, 0, tx], [0, 1, ty], [0, 0, 1]]; tx, ty broadcast to the batch shape."""
    tx, ty = _floats(tx, ty)
    zero, one = jnp.zeros_like(tx), jnp.ones_like(tx)
    return _matrix([one, zero, tx], [zero, one, ty], [zero, zero, one])


def rotation(theta: ArrayLike) -> Matrix:
    """[[c, -s, 0], [s, c, 0], [0, 0, 1]]: as a motion, clockwise on screen (y down)."""
    (theta,) = _floats(theta)
    c, s = jnp.cos(theta), jnp.sin(theta)
    zero, one = jnp.zeros_like(theta), jnp.ones_like(theta)
    return _matrix([c, -s, zero], [s, c, zero], [zero, zero, one])


def scaling(sx: ArrayLike, sy: ArrayLike) -> Matrix:
    """[[sx, 0, 0], [0, sy, 0], [0, 0, 1]]; sx, sy broadcast to the batch shape."""
    sx, sy = _floats(sx, sy)
    zero, one = jnp.zeros_like(sx), jnp.ones_like(sx)
    return _matrix([sx, zero, zero], [zero, sy, zero], [zero, zero, one])


def compose(*matrices: Float[Array, "*#batch 3 3"]) -> Matrix:
    """matrices[0] @ matrices[1] @ ...: the last one acts first on a point."""
    # By default accelerators round matmul inputs: errors of a thousandth of a pixel.
    exact = functools.partial(jnp.matmul, precision="highest")
    return functools.reduce(exact, matrices)


def user_transform(
    theta: ArrayLike = 0.0,
    tx: ArrayLike = 0.0,
    ty: ArrayLike = 0.0,
    zoom: ArrayLike | None = None,
) -> Matrix:
    """User transform for an image rotated by theta, then moved right tx, down ty.

    The inverse of the motion [[cos, sin, tx], [-sin, cos, ty], [0, 0, 1]]; zoom: of
    this times scaling(zoom, zoom), which enlarges the image first.
    """
    tx, ty = _floats(tx, ty)
    moved = compose(rotation(theta), translation(-tx, -ty))
    if zoom is None:
        return moved
    (zoom,) = _floats(zoom)
    return compose(scaling(1 / zoom, 1 / zoom), moved)


def _floats(*values):
    """Arrays of one shape and dtype: float32, or wider if an array is."""
    values = [jnp.asarray(v) for v in values]
    floats = [v for v in values if jnp.issubdtype(v.dtype, jnp.floating)]
    stated = [precision.wide(v.dtype) for v in floats if not v.weak_type]
    dtype = max(stated, default=np.dtype(np.float32))
    return jnp.broadcast_arrays(*(v.astype(dtype) for v in values))


def _matrix(*rows) -> Matrix:
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
