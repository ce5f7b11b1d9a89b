"""The average of several trainings' weights, or of one's at several steps."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from afgan_jax.runs import config as config_lib
from afgan_jax.sources import find, source

# Drawn once for a training: without these in common weights have nothing to do.
DRAWN = ("freqs", "phases", "noise_const")


def of(texts: Sequence[str]) -> source.Source:
    """The averaged generators of several sources, each leaf averaged in float64.

    Raises ValueError unless they are at least two, with the same settings and classes,
    and as far as is known of the same data and one training, or trainings that went on
    from one.
    """
    if len(texts) < 2:
        raise ValueError("give two sources or more, such as RUN@1000 RUN@2000")
    first, *others = (find.find(text) for text in texts)
    for other in others:
        lines = config_lib.difference(dict(first.settings), dict(other.settings))
        if lines:
            raise ValueError(
                f"{other.name} has other settings than {first.name}: {lines[0]}"
            )
        if other.class_names != first.class_names:
            raise ValueError(f"{other.name} has other classes than {first.name}")

    def read(abstract: dict[str, Any]) -> source.Weights:
        read = [found.read(abstract) for found in (first, *others)]
        names = [weights.name for weights in read]
        data = [weights.facts.get("training", {}).get("data") for weights in read]
        for name, other in zip(names, data, strict=True):
            if other != data[0]:
                raise ValueError(f"{name} was trained on other data than {names[0]}")
        tree = jax.tree_util.tree_map_with_path(
            lambda path, *leaves: _mean(path, leaves, names),
            *(weights.tree for weights in read),
        )
        origins = [str(w.facts.get("origin", w.name)) for w in read]
        facts = {"origin": f"the average of {', '.join(origins)}"}
        if licences := {w.facts["licence"] for w in read if "licence" in w.facts}:
            facts["licence"] = "; ".join(sorted(licences))
        if all("training" in weights.facts for weights in read):
            facts["training"] = read[-1].facts["training"]
        return source.Weights(
            source.placed(tree, abstract, first.name), ", ".join(names), facts
        )

    name = f"the average of {', '.join(texts)}"
    return source.Source(
        name, first.settings, first.parts, read, first.class_names, first.empty_classes
    )


def _mean(path: tuple, leaves: Sequence[Any], names: list[str]) -> np.ndarray:
    arrays = [np.asarray(leaf) for leaf in leaves]
    if getattr(path[-1], "key", None) in DRAWN:
        for name, array in zip(names, arrays, strict=True):
            if not np.array_equal(array, arrays[0]):
                leaf = jax.tree_util.keystr(path, simple=True, separator=".")
                raise ValueError(
                    f"{name} is of another training than {names[0]} ({leaf} differs):"
                    " average steps of one"
                )
    mean = np.mean([array.astype(np.float64) for array in arrays], axis=0)
    return np.asarray(mean, arrays[0].dtype)
