"""Small files: complete or not there, read again after errors that pass."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from afgan_jax import errors, patience


def read(path: Path) -> bytes:
    """The content; OSError, which names the file, if it cannot be read."""
    with errors.accessing(path):
        return patience.patiently(str(path), Path(path).read_bytes)


def write(path: Path, data: str | bytes) -> None:
    """Writes a file atomically, and its folder if there is none.

    On failure an old file stays as it was; an OSError names `path`.
    """
    path = Path(path)
    if isinstance(data, str):
        data = data.encode(errors="surrogateescape")  # names of files are bytes
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with errors.accessing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(unfinished, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes an npz of these arrays."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    write(path, content.getvalue())


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON."""
    write(path, json.dumps(content, indent=2) + "\n")
