"""Figures of the augmented images that the discriminator sees: augment.png."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from afgan_jax import jax_settings
from afgan_jax.augment import control
from afgan_jax.signal import pixels
from afgan_jax.viz import enlarge, grid

STRENGTHS = (0.2, 0.5, 1.0)
ROWS = 3  # where there is one strength


def strengths(augment: control.Control, p: float | None) -> tuple[float, ...]:
    """The strength of each row: `p`, or a fixed augmentation's own, several times.

    For adaptive augmentation with p=None it is STRENGTHS, since p depends on the data.
    """
    if p is None and augment.adapts:
        return STRENGTHS
    return (augment.p if p is None else p,) * ROWS


def write(
    path: Path,
    augment: control.Control,
    archive,
    p: Sequence[float],
    *,
    squares: bool = False,
) -> None:
    """Write a row of the set's images and, below, one row augmented at each p.

    The blur of D's inputs in early training is left out. squares: how small images are
    enlarged.
    """
    width = archive.size[1] * enlarge.factor(archive.size)
    columns = int(np.clip(1280 // width, 4, 16))
    items = np.random.RandomState(0).permutation(len(archive))[:columns]
    real = np.stack([archive[int(i)][0] for i in items])
    images = jax.device_put(real.astype(np.float32)) / 127.5 - 1
    run = jax.jit(augment.augment)
    keys = jax.random.split(jax_settings.key(0), len(p))
    seen = [run(key, images, jax.device_put(np.float32(x))) for key, x in zip(keys, p)]
    rows = [real, *(pixels.to_uint8(jax.device_get(images)) for images in seen)]
    captions = ["real images", *(f"what D sees at p = {x:g}" for x in p)]
    shown = [enlarge.enlarged(row, columns=columns, squares=squares) for row in rows]
    grid.save_png(path, grid.strip(shown, captions))
