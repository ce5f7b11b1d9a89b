"""The names of the classes of a run's image set, in classes.json."""

from collections.abc import Sequence
from pathlib import Path

from afgan_jax import json_files
from afgan_jax.runs import atomic

FILE = "classes.json"


def read(run: Path) -> tuple[str, ...] | None:
    """The names in the run directory; None if there are none, ValueError if damaged."""
    file = run / FILE
    if not file.is_file():
        return None
    content = json_files.parse(atomic.read(file), file)
    names = content.get("class_names") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ValueError(f"{file} holds no names of classes; the run needs them")
    return tuple(names)


def write(run: Path, names: Sequence[str]) -> None:
    """Writes what `read` returns."""
    atomic.write_json(run / FILE, json_files.seal({"class_names": list(names)}))
