"""Kernel distance of two sets of features; KID if they are Inception's.

The unbiased estimate of the squared maximum mean discrepancy under the kernel

    k(x, y) = (x.y / d + 1)^3

averaged over random subsets of m features of each set.

Source: Binkowski et al. 2018, Demystifying MMD GANs, Sec. 4.
"""

import numpy as np
from jaxtyping import Float, Int

SUBSETS = 100
MAX_SUBSET = 1000

Features = Float[np.ndarray, "_ d"]
Subset = tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]


def distance(
    real: Features,
    fake: Features,
    *,
    subsets: int = SUBSETS,
    max_subset: int = MAX_SUBSET,
    seed: int = 0,
) -> float:
    """Mean estimate over the subsets, in float64; may be negative.

    Raises ValueError if a set has fewer than 2 features.
    """
    if min(len(real), len(fake)) < 2:
        raise ValueError(
            f"kernel distance: {len(real)} real and {len(fake)} generated images, but"
            " needs at least 2 of each"
        )
    drawn = draw_subsets(len(real), len(fake), subsets, max_subset, seed)
    real, fake = (np.asarray(a, np.float64) for a in (real, fake))
    return float(np.mean([_estimate(real[r], fake[f]) for r, f in drawn]))


def draw_subsets(
    real: int, fake: int, subsets: int, max_subset: int, seed: int
) -> list[Subset]:
    """(real indices, fake indices) of each subset, drawn without replacement."""
    rng = np.random.RandomState(seed)
    m = min(real, fake, max_subset)
    pairs = []
    for _ in range(subsets):
        fakes = rng.choice(fake, m, replace=False)
        pairs.append((rng.choice(real, m, replace=False), fakes))
    return pairs


def _estimate(x: Features, y: Features) -> float:
    m, d = x.shape
    kxx, kyy, kxy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    others = kxx.sum() - np.trace(kxx) + kyy.sum() - np.trace(kyy)
    return others / (m * (m - 1)) - 2 * kxy.mean()
