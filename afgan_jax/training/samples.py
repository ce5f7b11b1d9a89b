"""Sample grids of a run: reals.png, fakes_init.png, fakes<kimg>.png.

All processes of a job compute them, and process 0 writes them.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from afgan_jax import ranges
from afgan_jax.signal import pixels
from afgan_jax.viz import grid


def check(**settings: int | bool | None) -> None:
    """Raises SettingError for a setting of Snapshots that is out of range."""
    ranges.check("samples", **settings)


class Snapshots:
    """Renders grids of samples from one fixed set of latents and labels."""

    def __init__(
        self,
        folder: Path,
        G,
        archive,
        over: Callable,
        *,
        rows: int | None = None,
        columns: int | None = None,
        batch: int = 16,
        squares: bool = False,
    ):
        """Grids of `rows` x `columns`, by default what a large screen shows.

        Small images are enlarged, smoothly or as `squares`.

        Samples have the labels of `archive`, the image set, in shuffled order. They are
        drawn by over(batch), such as metrics.sharding.BatchSharding.over.
        """
        check(rows=rows, columns=columns, batch=batch)
        usual = grid.grid_size(archive.size)
        rows, self._columns = rows or usual[0], columns or usual[1]
        count = rows * self._columns
        self._folder, self._archive, self._squares = folder, archive, squares
        self._items = np.resize(
            np.random.RandomState(0).permutation(len(archive)), count
        )
        z = np.random.RandomState(0).randn(count, G.mapping.z_dim)
        self._z = z.astype(np.float32)
        self._over = over(min(batch, count))

        def render(variables, z, c):
            return pixels.to_uint8(G.apply(variables, z, c if c.shape[1] else None))

        self._render = self._over.compile(render, rows=2)

    def reals(self) -> Path | None:
        """Write reals.png and return its path; None from all processes but 0."""
        if jax.process_index() != 0:
            return None
        images = np.stack([self._archive.image(int(i)) for i in self._items])
        return self._save("reals.png", images)

    def fakes(self, variables: dict, name: str) -> Path | None:
        """Write G's samples of the fixed latents to `name`; returns as `reals` does."""
        variables = self._over.replicate(variables)
        images = []
        for start in range(0, len(self._z), self._over.batch):
            rows = np.arange(start, start + self._over.batch) % len(self._z)
            rows = rows[self._over.mine]
            c = self._archive.labels.rows(self._items[rows])
            drawn = self._render(variables, self._z[rows], c)
            if jax.process_index() == 0:  # the others need not copy them
                images.append(jax.device_get(drawn.addressable_data(0)))
        if not images:
            return None
        return self._save(name, np.concatenate(images)[: len(self._z)])

    def _save(self, name: str, images: np.ndarray) -> Path:
        sheet = grid.sheet(images, self._columns, squares=self._squares)
        grid.save_png(self._folder / name, sheet)
        return self._folder / name
