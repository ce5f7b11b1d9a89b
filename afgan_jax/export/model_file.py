"""A model file of any source; see interop.model_file for its layout."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from afgan_jax import errors
from afgan_jax.export import staging
from afgan_jax.interop import model_file
from afgan_jax.model import Model
from afgan_jax.sources import find as sources
from afgan_jax.sources import source


def write(
    text: str | os.PathLike,
    out: Path,
    *,
    discriminator: bool = False,
    licence: str | None = None,
) -> str:
    """Writes the averaged generator, on request with D; returns what was checked.

    licence: a note on what may be done with the model; None: that of the source.
    Raises ValueError for parts that the source does not have.
    """
    _check_name(out)
    parts = ("G_ema", "D") if discriminator else ("G_ema",)
    return write_source(sources.find(text, parts), out, parts, licence=licence)


def write_source(
    found: source.Source,
    out: Path,
    parts: Sequence[str] = ("G_ema",),
    *,
    licence: str | None = None,
) -> str:
    """Writes these parts of a source that was found; see `write`."""
    _check_name(out)
    weights = found.load(*parts)
    tree = jax.tree.map(np.asarray, weights.tree)
    facts = describe(found, weights.facts)
    if licence is not None:
        facts["licence"] = licence
    sections = {source.PARTS[part][0] for part in parts}
    settings = {name: found.settings[name] for name in sections}
    with staging.staged(out) as place:
        place.write_bytes(model_file.encode(settings, tree, facts))
        return _check(place, tree)


def write_model(model: Model, out: Path, facts: dict[str, Any]) -> str:
    """Writes a model as it is in memory, with facts of its origin; see `write`."""
    _check_name(out)
    tree = {"G_ema": jax.tree.map(np.asarray, model.variables)}
    names = model.class_names
    facts = facts | {"layers": model.layers}
    facts |= {"class_names": list(names)} if names else {}
    with staging.staged(out) as place:
        place.write_bytes(model_file.encode({"generator": model.settings}, tree, facts))
        return _check(place, tree)


def _check_name(out: Path) -> None:
    if out.suffix != model_file.SUFFIX:
        why = f"must end in {model_file.SUFFIX}, by which model files are known"
        raise errors.SettingError("out", str(out), why)


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
