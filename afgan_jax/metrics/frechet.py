"""Fréchet distance of two sets of features, from their means and covariances.

    d = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))

for the Gaussians with the sets' moments; FID if the features are Inception's.

Source: Heusel et al. 2017, GANs trained by a two time-scale update rule, Eq. 6.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Float64


@dataclasses.dataclass(frozen=True)
class Moments:
    """Sums over a set of features; a + b are those of both sets together."""

    count: int
    total: Float64[np.ndarray, " d"]
    products: Float64[np.ndarray, "d d"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "N d"]) -> "Moments":
        """The sums, in float64."""
        wide = np.asarray(features, np.float64)
        return cls(len(wide), wide.sum(0), wide.T @ wide)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.products + other.products,
        )

    @property
    def mean(self) -> Float64[np.ndarray, " d"]:
        return self.total / self.count

    @property
    def covariance(self) -> Float64[np.ndarray, "d d"]:
        """Divided by N, not N - 1."""
        return self.products / self.count - np.outer(self.mean, self.mean)


def distance(a: Moments, b: Moments) -> float:
    """The squared Fréchet distance d.

    tr (S1 S2)^(1/2) is the trace of (R S2 R)^(1/2) with R = S1^(1/2), which stays real
    where fewer samples than features leave the covariances without full rank.
    """
    root = _root(a.covariance)
    inner = np.linalg.eigvalsh(root @ b.covariance @ root)
    overlap = np.sqrt(np.maximum(inner, 0)).sum()
    traces = np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return float(np.sum((a.mean - b.mean) ** 2) + traces)


def _root(covariance: Float64[np.ndarray, "d d"]) -> Float64[np.ndarray, "d d"]:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
