"""The networks of a model file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afgan_jax.interop import model_file
from afgan_jax.sources import source


def find(path: Path, parts: Sequence[str]) -> source.Source:
    """Those of the parts that the file holds, of which it has one at least.

    Raises ValueError if it has none, is damaged, or of another version.
    """
    header = model_file.read_header(path)
    held = tuple(part for part in parts if part in header.parts)
    if not held:
        raise ValueError(f"{path} holds {', '.join(header.parts)}, not {parts[-1]}")
    settings = source.complete(header.settings, held, str(path))

    def read(abstract: dict[str, Any]) -> source.Weights:
        trees = {
            part: model_file.read(path, part, tree, header.sha256[part])
            for part, tree in abstract.items()
        }
        tree = source.placed(trees, abstract, path)
        return source.Weights(tree, str(path), facts)

    facts = dict(header.facts)
    names = facts.pop("class_names", None)
    return source.Source(str(path), settings, held, read, names and tuple(names))
