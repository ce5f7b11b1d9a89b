"""A model file of any source; see interop.model_file for its layout."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from afgan_jax import errors
from afgan_jax.interop import model_file
from afgan_jax.runs import atomic
from afgan_jax.sources import find as sources
from afgan_jax.sources import source


def write(
    found: source.Source, out: Path, *, parts: tuple[str, ...], licence: str | None
) -> str:
    """Writes these parts, "G_ema" or with it "D"; returns what was checked.

    licence: a note on what may be done with the model; None: that of the source.
    Raises ValueError for parts that the source does not have.
    """
    if out.suffix != model_file.SUFFIX:
        why = f"must end in {model_file.SUFFIX}, by which model files are known"
        raise errors.SettingError("out", str(out), why)
    weights = found.load(*parts)
    tree = jax.tree.map(np.asarray, weights.tree)
    facts = describe(found, weights.facts)
    if licence is not None:
        facts["licence"] = licence
    sections = {source.PARTS[part][0] for part in parts}
    settings = {name: found.settings[name] for name in sections}
    atomic.write(out, model_file.encode(settings, tree, facts))
    return _check(out, tree)


def describe(found: source.Source, known: dict[str, Any]) -> dict[str, Any]:
    """The facts of a model: those `known`, its layers and its classes."""
    rows = found.network("G_ema").synthesis.rows()
    names = found.class_names
    return known | {"layers": rows} | ({"class_names": list(names)} if names else {})


def _check(out: Path, tree: dict) -> str:
    """Reads the file as anybody does; ValueError if anything is different."""
    again = sources.find(out, tuple(tree)).load(*tree).tree
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(again), strict=True)
    if not all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs):
        raise ValueError(f"{out} does not hold what was written: see to the disk")
    count = len(jax.tree.leaves(tree))
    return f"read back: {count} tensors, largest difference 0"
