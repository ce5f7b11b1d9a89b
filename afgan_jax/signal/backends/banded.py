"""Resampling as products with banded matrices: for matrix units.

A separable filter is one matrix per axis; a 2-D filter is the sum of the separable
filters of its singular value decomposition (radial low-passes need 3 or 4).
"""

import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.signal.operators import Resampling

# Singular values below this share of the largest are rounding in float32.
_RANK_TOLERANCE = 1e-7


def resample(spec: Resampling, x: jax.Array) -> jax.Array:
    """Apply `spec` to images, [N H W C] -> [N H2 W2 C]."""
    grows = spec.size_out[0] >= spec.size_in[0]
    total = None
    for taps_y, taps_x in separable_terms(spec):
        y = matrix(spec, 0, taps_y)
        z = matrix(spec, 1, taps_x)
        if grows:
            term = _along_x(z, _along_y(y, x))
        else:
            term = _along_y(y, _along_x(z, x))
        total = term if total is None else total + term
    return total


def separable_terms(
    spec, tolerance: float = _RANK_TOLERANCE
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(vertical, horizontal) taps of separable filters that add up to the 2-D one.

    Terms below `tolerance` times the largest are left out.
    """
    if spec.separable:
        return [(np.asarray(spec.taps[0]), np.asarray(spec.taps[1]))]
    u, s, vt = np.linalg.svd(np.asarray(spec.taps))
    rank = max(1, int((s > tolerance * s[0]).sum()))
    return [(u[:, i] * s[i], vt[i]) for i in range(rank)]


def matrix(spec, axis: int, taps: np.ndarray) -> np.ndarray:
    """M with y = M x along the axis, [size_out, size_in]."""
    n = np.arange(spec.size_out[axis])[:, None]
    m = np.arange(spec.size_in[axis])[None, :]
    k = m * spec.up[axis] - n * spec.down[axis] + spec.lo[axis]
    inside = (k >= 0) & (k < taps.size)
    return np.where(inside, taps[np.clip(k, 0, taps.size - 1)], 0.0)


def _along_y(matrix, x):
    m = jnp.asarray(matrix, x.dtype)
    return jnp.einsum("oh,nhwc->nowc", m, x, precision=precision(x))


def _along_x(matrix, x):
    m = jnp.asarray(matrix, x.dtype)
    return jnp.einsum("ow,nhwc->nhoc", m, x, precision=precision(x))


def precision(x) -> jax.lax.Precision:
    """float32 data needs float32 products, which a TPU computes only on request."""
    wide = x.dtype in (jnp.float32, jnp.float64)
    return jax.lax.Precision.HIGHEST if wide else jax.lax.Precision.DEFAULT
