"""What the discriminator sees of an image set: augment.png."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.augment import control
from afgan_jax.signal import pixels
from afgan_jax.viz import grid

STRENGTHS = (0.2, 0.5, 1.0)
ROWS = 3  # of one strength


def strengths(augment: control.Control, p: float | None) -> tuple[float, ...]:
    """Strengths worth a row each: several draws of p, or of the one that is fixed, or
    else a range, since p starts at 0 and ends wherever the data takes it."""
    if p is None and augment.adapts:
        return STRENGTHS
    return (augment.p if p is None else p,) * ROWS


def write(path: Path, augment: control.Control, archive, p: Sequence[float]) -> None:
    """Write a row of the set's images, and below it one row augmented at each p.

    Without the blur by which some configurations begin.
    """
    columns = int(np.clip(1280 // archive.resolution, 4, 16))
    items = np.random.RandomState(0).permutation(len(archive))[:columns]
    real = np.stack([archive[int(i)][0] for i in items])
    images = jnp.asarray(real, jnp.float32) / 127.5 - 1
    run = jax.jit(augment.augment)
    keys = jax.random.split(jax.random.key(0), len(p))
    seen = [run(key, images, jnp.float32(x)) for key, x in zip(keys, p)]
    rows = [real, *(pixels.to_uint8(np.asarray(images)) for images in seen)]
    captions = ["real images", *(f"what D sees at p = {x:g}" for x in p)]
    grid.save_png(path, grid.strip(rows, captions))
