"""The networks of a published snapshot; no code in the file is run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afgan_jax.interop import snapshot
from afgan_jax.sources import source


def find(path: Path, parts: Sequence[str]) -> source.Source:
    """Those of the parts that a file of the published program holds.

    Raises ValueError if it holds none, or those that do not exist here.
    """
    held = snapshot.read(path, parts)
    settings = {source.PARTS[part][0]: held[part].settings for part in held}
    complete = source.complete(settings, held, str(path))

    def read(abstract: dict[str, Any]) -> source.Weights:
        trees = {part: _filled(held[part].variables) for part in abstract}
        facts = {"origin": f"{path.name}, a snapshot of the published program"}
        return source.Weights(source.placed(trees, abstract, path), str(path), facts)

    return source.Source(str(path), complete, tuple(held), read)


def _filled(variables: dict[str, dict]) -> dict[str, dict]:
    """Without collections that hold nothing."""
    return {name: tree for name, tree in variables.items() if tree}
