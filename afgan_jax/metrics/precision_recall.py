"""Improved precision and recall of generated features against real ones.

The manifold of a set is the union of balls around its points, whose radius is the
distance to the k-th nearest other point. Precision is the share of generated points in
the manifold of the real ones, recall the reverse. Features and radii are rounded to
float16, as published; distances are float32.

Source: Kynkäänniemi et al. 2019, Improved precision and recall metric, Eqs. 1 and 2.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from afgan_jax import jax_settings

NEIGHBOURS = 3
BLOCK = 4096  # points on either side of a block of distances: 64 MB

Features = Float[np.ndarray, "_ d"]


@jax_settings.fixed()
def precision_recall(
    real: Features, fake: Features, *, k: int = NEIGHBOURS, block: int = BLOCK
) -> tuple[float, float]:
    """(precision, recall). Raises ValueError if a set has no more than k points."""
    if min(len(real), len(fake)) <= k:
        raise ValueError(
            f"precision and recall: {len(real)} real and {len(fake)} generated images,"
            f" but needs at least {k + 1} of each"
        )
    real, fake = (np.asarray(a, np.float16).astype(np.float32) for a in (real, fake))
    precision = _share_inside(real, _radii(real, k, block), fake, block)
    return precision, _share_inside(fake, _radii(fake, k, block), real, block)


def _radii(points: Features, k: int, block: int) -> Float[np.ndarray, " N"]:
    """Distance to the k-th nearest other point, the point itself being the first."""
    radii = []
    for rows in _blocks(points, block):
        nearest = np.full((len(rows), k + 1), np.inf, np.float32)
        for columns in _blocks(points, block):
            nearest = jax.device_get(
                _keep_nearest(*jax.device_put((nearest, rows, columns)))
            )
        radii.append(nearest[:, k])
    return np.concatenate(radii).astype(np.float16).astype(np.float32)


def _share_inside(centres: Features, radii, probes: Features, block: int) -> float:
    """The share of probes in at least one ball."""
    inside = 0
    for rows in _blocks(probes, block):
        found = np.zeros(len(rows), bool)
        for columns, radius in zip(_blocks(centres, block), _blocks(radii, block)):
            put = jax.device_put((rows, columns, radius))
            found |= jax.device_get(_any_inside(*put))
        inside += int(found.sum())
    return inside / len(probes)


def _blocks(points, block: int) -> list:
    return [points[i : i + block] for i in range(0, len(points), block)]


@jax.jit
def _keep_nearest(nearest, rows, columns):
    both = jnp.concatenate([nearest, _distances(rows, columns)], axis=1)
    return -jax.lax.top_k(-both, nearest.shape[1])[0]


@jax.jit
def _any_inside(rows, columns, radius):
    return (_distances(rows, columns) <= radius[None]).any(axis=1)


def _distances(a: Float[jax.Array, "n d"], b: Float[jax.Array, "m d"]):
    """|a - b| by |a|^2 + |b|^2 - 2 a.b."""
    square = functools.partial(jnp.sum, axis=1)
    products = jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)
    squared = square(a**2)[:, None] + square(b**2)[None] - 2 * products
    return jnp.sqrt(jnp.maximum(squared, 0))
