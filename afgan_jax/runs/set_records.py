"""sets.json of a run: the image sets it was trained on, and from which step on.

It holds {"sets": [{"step": first step, **facts of the set}, ...]}, sealed (json_files).
Training does not depend on it: a file that cannot be read is taken for none.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afgan_jax import json_files
from afgan_jax.runs import atomic

NAME = "sets.json"


def read(run: Path) -> list[dict[str, Any]]:
    """The records of the run in this folder, the newest last."""
    try:
        content = json_files.parse(atomic.read(run / NAME), run / NAME)
        return [dict(record) for record in content["sets"]]
    except (OSError, KeyError, TypeError, ValueError):
        return []


def add(run: Path, step: int, facts: Mapping[str, Any]) -> None:
    """Records the set trained on from `step` on, in place of those never trained on."""
    before = [record for record in read(run) if record.get("step", 0) < step]
    sealed = json_files.seal({"sets": [*before, {"step": step, **facts}]})
    atomic.write(run / NAME, json.dumps(sealed) + "\n")


def empty_classes(run: Path) -> frozenset[int]:
    """The classes of which no set has an image."""
    found = [frozenset(record.get("empty_classes") or ()) for record in read(run)]
    return frozenset.intersection(*found) if found else frozenset()
