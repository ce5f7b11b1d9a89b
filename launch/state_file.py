"""JSON files by which one process tells others how it does."""

import json
import os
from pathlib import Path


def write(path: Path, state: dict) -> None:
    """Complete or not at all. Raises OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(state) + "\n")
    os.replace(beside, path)


def read(path: Path) -> dict:
    """What was written last; empty if nothing was, or nothing readable."""
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
