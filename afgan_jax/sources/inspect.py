"""What a source of networks holds, tensor by tensor, and how two differ."""

import dataclasses
from typing import Any

import jax
import numpy as np

from afgan_jax.interop import model_file
from afgan_jax.runs import config as config_lib
from afgan_jax.sources import source


@dataclasses.dataclass(frozen=True)
class Contents:
    """A source that was read: its weights as NumPy arrays by dotted name."""

    found: source.Source
    name: str
    facts: dict[str, Any]
    arrays: dict[str, dict[str, np.ndarray]]  # by part

    @property
    def sha256(self) -> dict[str, str]:
        """By part, as in a model file of it."""
        return {part: model_file.digest(held) for part, held in self.arrays.items()}

    def rows(self) -> list[dict[str, Any]]:
        """name, shape, dtype, mean and std of every tensor."""
        return [
            {
                "name": name,
                "shape": list(array.shape),
                "dtype": array.dtype.name,
                "mean": float(np.mean(array, dtype=np.float64)),
                "std": float(np.std(array, dtype=np.float64)),
            }
            for held in self.arrays.values()
            for name, array in held.items()
        ]


def read(found: source.Source) -> Contents:
    """Reads all parts of a source. Raises ValueError if they are damaged."""
    tree, name, facts = found.load(*found.parts)
    tree = jax.tree.map(np.asarray, tree)
    arrays = {part: model_file.flat(tree[part], part) for part in tree}
    return Contents(found, name, facts, arrays)


def settings(contents: Contents) -> dict[str, Any]:
    """All settings, of the networks and of the training as far as known."""
    return dict(contents.found.settings) | contents.facts.get("training", {})


def difference(a: Contents, b: Contents) -> list[str]:
    """A line for every setting and tensor that differs, with by how much."""
    lines = config_lib.difference(settings(a), settings(b))
    left, right = (
        {name: array for held in side.arrays.values() for name, array in held.items()}
        for side in (a, b)
    )
    for name in left | right:
        if name not in left or name not in right:
            lines.append(f"{name}: only in {(a if name in left else b).name}")
        elif left[name].shape != right[name].shape:
            shapes = list(left[name].shape), list(right[name].shape)
            lines.append(f"{name}: {shapes[0]} -> {shapes[1]}")
        elif not np.array_equal(left[name], right[name]):
            x, y = np.float64(left[name]), np.float64(right[name])
            relative = np.linalg.norm(x - y) / max(np.linalg.norm(x), 1e-300)
            most = np.abs(x - y).max()
            lines.append(f"{name}: by up to {most:z.3g}, {relative:z.2%} of its norm")
    return lines
