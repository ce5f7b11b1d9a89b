"""Files that are either complete or not there at all."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np


def write(path: Path, data: str | bytes) -> None:
    """Writes a file at one stroke; whatever fails, an old one stays as it was."""
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes an npz of these arrays, and the folder if it is not there."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write(path, content.getvalue())


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON, and the folder if it is not there."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write(path, json.dumps(content, indent=2) + "\n")
