"""Inception score: how confident a classifier is, and how varied its classes.

    IS = exp(mean over images of KL(p(class | image) || mean p))

Source: Salimans et al. 2016, Improved techniques for training GANs, Sec. 4.
"""

import numpy as np
from jaxtyping import Float

SPLITS = 10


def score(
    probabilities: Float[np.ndarray, "N classes"], *, splits: int = SPLITS
) -> tuple[float, float]:
    """Mean and (population) standard deviation of the score over equal parts.

    Raises ValueError if there are fewer images than parts.
    """
    count = len(probabilities)
    if count < splits:
        raise ValueError(f"inception score: {count} images, but needs {splits} or more")
    p = np.asarray(probabilities, np.float64)
    parts = [p[i * count // splits : (i + 1) * count // splits] for i in range(splits)]
    scores = [_score(part) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def _score(p: np.ndarray) -> float:
    tiny = np.finfo(np.float64).tiny  # p log p -> 0 where p is 0
    mean = p.mean(axis=0)
    terms = p * (np.log(np.maximum(p, tiny)) - np.log(np.maximum(mean, tiny)))
    return np.exp(terms.sum(axis=1).mean())
