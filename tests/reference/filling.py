"""Weights of the recorded feature networks, filled by the recorded rule."""

import json
import zlib

import numpy as np

from reference import official


def state(net: str, prefix: str, only: str = "") -> dict[str, np.ndarray]:
    """Arrays of a net by name; of those whose names begin with `only`."""
    path = official.folder() / "metrics" / "parameter_shapes.json"
    salt = official.index("metrics")["features"]["name_salt"]
    return {
        name: fill(name, shape, zlib.crc32((salt + prefix + name).encode()))
        for name, shape in json.loads(path.read_text())[net]
        if name.startswith(only)
    }


def fill(name: str, shape: list[int], seed: int) -> np.ndarray:
    rng, leaf = np.random.default_rng(seed), name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        x = 0.5 + rng.random(shape)
    elif leaf == "weight" and len(shape) == 1:
        x = 0.8 + 0.4 * rng.random(shape)
    elif leaf == "weight":
        x = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    else:
        x = 0.1 * rng.standard_normal(shape)
    return x.astype(np.float32)


def lpips() -> dict[str, np.ndarray]:
    return {name: np.abs(x) for name, x in state("lpips", "lpips.").items()}
