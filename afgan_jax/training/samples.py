"""Sample grids of a run: reals.png, fakes_init.png, fakes<kimg>.png."""

from pathlib import Path

import jax
import numpy as np

from afgan_jax import ranges
from afgan_jax.signal import pixels
from afgan_jax.viz import grid


def check(**settings: int | None) -> None:
    """Raises SettingError for a setting of Snapshots that is out of range."""
    ranges.check("samples", **settings)


class Snapshots:
    """Renders grids of samples from one fixed set of latents and labels."""

    def __init__(
        self,
        folder: Path,
        G,
        archive,
        *,
        rows: int | None = None,
        columns: int | None = None,
        batch: int = 16,
    ):
        """Grids of `rows` x `columns`, by default what a large screen shows.

        Samples have the labels of `archive`, the image set, in shuffled order.
        """
        check(rows=rows, columns=columns, batch=batch)
        usual = grid.grid_size(archive.resolution)
        rows, self._columns = rows or usual[0], columns or usual[1]
        count = rows * self._columns
        self._folder, self._archive = folder, archive
        self._items = np.resize(
            np.random.RandomState(0).permutation(len(archive)), count
        )
        z = np.random.RandomState(0).randn(count, G.mapping.z_dim)
        self._z = z.astype(np.float32)
        self._batch = min(batch, count)
        self._render = jax.jit(
            lambda variables, z, c: G.apply(variables, z, c if c.shape[1] else None)
        )

    def reals(self) -> Path | None:
        """Write reals.png and return its path; None from all processes but 0."""
        images = np.stack([self._archive.image(int(i)) for i in self._items])
        return self._save("reals.png", images)

    def fakes(self, variables: dict, name: str) -> Path | None:
        """Write G's samples of the fixed latents to `name`; returns as `reals` does."""
        if jax.process_index() != 0:
            return None
        # On one device of this process, whatever the mesh of the training.
        variables = jax.tree.map(lambda x: x.addressable_data(0), variables)
        device = jax.local_devices()[0]
        images = []
        for start in range(0, len(self._z), self._batch):
            rows = np.arange(start, start + self._batch) % len(self._z)
            c = self._archive.labels.rows(self._items[rows])
            z, c = jax.device_put((self._z[rows], c), device)
            images.append(jax.device_get(self._render(variables, z, c)))
        images = np.concatenate(images)[: len(self._z)]
        return self._save(name, pixels.to_uint8(images))

    def _save(self, name: str, images: np.ndarray) -> Path | None:
        if jax.process_index() != 0:
            return None
        grid.save_png(self._folder / name, grid.tile(images, self._columns))
        return self._folder / name
