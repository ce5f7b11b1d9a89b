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
# Errors of `arrays_in`, for a damaged file.
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


def arrays_in(path: Path) -> Arrays:
    """The arrays of an npz as np.savez writes it: as large as they are.

    A compressed one, which may hold any amount, is a ValueError.
    """
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as members:
            if any(m.compress_type != zipfile.ZIP_STORED for m in members.infolist()):
                raise ValueError("it is compressed: write it with numpy.savez")
        file.seek(0)
        with np.load(file) as arrays:
            return dict(arrays)


def _read(path: Path) -> Arrays | None:
    try:
        found = arrays_in(path)
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
