"""Files that are either complete or not there at all."""

import os
from pathlib import Path


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
