"""A store of what was computed from real images, by their content."""

import dataclasses
import hashlib
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from afgan_jax import places
from afgan_jax.metrics import sharding

_log = logging.getLogger(__name__)
Arrays = dict[str, np.ndarray]
DIGEST = "digest"  # name in a file of the digest of its other arrays
# Errors of reading a damaged zip of arrays.
DAMAGED = EOFError, KeyError, MemoryError, RuntimeError, ValueError
DAMAGED += zipfile.BadZipFile, zlib.error


@dataclasses.dataclass(frozen=True)
class Store:
    """Arrays by key in folder(), which processes may share; None: nothing is kept."""

    folder: Callable[[], Path | None]

    def get(self, key: tuple, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of `key`, read if they are stored, else computed and stored.

        Every process of a job must call it: all of them compute, or none.
        """
        folder = self.folder()
        name = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
        path = None if folder is None else folder / f"{name}.npz"
        found = None if path is None else _read(path)
        if not sharding.all_processes(found is not None):
            found = jax.device_get(compute())
            try:
                if path is not None:
                    _write(path, found)
            except OSError as error:
                _log.warning("%s: not stored: %s", path, error)
        return found


def usual_folder() -> Path | None:
    """That of all runs."""
    folder = places.cache()
    return None if folder is None else folder / "metrics"


def digest_of(tree: Any) -> str:
    """A digest of the values of a pytree of arrays."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        leaf = np.ascontiguousarray(leaf)
        about = jax.tree_util.keystr(path), leaf.shape, leaf.dtype.str
        digest.update(repr(about).encode())
        digest.update(leaf)
    return digest.hexdigest()


def _read(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            found = dict(arrays)
        digest = str(found.pop(DIGEST))
    except (OSError, *DAMAGED):
        return None  # absent, or damaged
    return found if digest_of(found) == digest else None


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
        partial = Path(folder) / path.name
        np.savez(partial, **arrays | {DIGEST: digest_of(arrays)})
        os.replace(partial, path)
