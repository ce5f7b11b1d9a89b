"""Transfer of weights: which tensors of one training start another, and how.

A tree is {"G", "D", "G_ema"}, variables as in TrainState, or their shapes where nothing
is computed. Tensors are matched by path. Names of alias-free layers contain sizes, so
these are matched by number, "L3_36_512" by "L3": layers of one number cover the same
part of the way from low to high frequencies. Layers of StyleGAN2 and of D are named,
and matched, by resolution.

Where labels are added, G starts out ignoring them: its first dense layer keeps the
weights of z and gets zeros for the embedded labels. D's projection onto labels has no
counterpart: its last layer and its mapping are fresh.
"""

import dataclasses
import math
import re
from typing import Any

import jax
import jax.numpy as jnp

from afgan_jax.training import state as states

PARTS = ("G", "D", "G_ema")
KINDS = {
    "loaded": "copied",
    "reshaped": "copied, with zeros for new inputs",
    "skipped": "not used: no tensor of this shape here",
    "missing": "fresh: no tensor of this name there",
}
# Paths of tensors that exist, or have their shape, only in networks with labels.
OF_LABELS = re.compile(r".+/mapping/embed/\w+|D/params/(mapping|b\d+/out)/.+")
_FIRST_DENSE = "mapping/fc0/weight"
_SIZES = re.compile(r"/L(\d+)_\d+(?:x\d+)?_\d+/")

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """What becomes of one tensor. Shapes and paths are None where it does not exist."""

    kind: str  # of KINDS
    source: str | None  # its path in either tree
    target: str | None
    old: Shape | None
    new: Shape | None

    def line(self) -> str:
        old, new = ("-" if s is None else str(list(s)) for s in (self.old, self.new))
        return f"{self.kind:9} {self.target or self.source}  {old} -> {new}"


def match(source: dict, target: dict) -> tuple[Row, ...]:
    """A row for every tensor of `target`, then for what remains of `source`.

    A tensor whose counterpart has another shape is skipped, and fresh in `target`.
    """
    there = {_key(path): (path, tuple(x.shape)) for path, x in _leaves(source)}
    has_labels = any("mapping/embed/" in key for key in there)
    rows = []
    for path, leaf in _leaves(target):
        new = tuple(leaf.shape)
        name, old = there.pop(_key(path), (None, None))
        if old is None:
            kind = "missing"
        elif old == new:
            kind = "loaded"
        else:
            is_wider = old[1:] == new[1:] and old[0] < new[0]
            adds_labels = path.endswith(_FIRST_DENSE) and not has_labels and is_wider
            kind = "reshaped" if adds_labels else "skipped"
        rows.append(Row(kind, name, path, old, new))
    return (*rows, *(Row("skipped", path, None, s, None) for path, s in there.values()))


def begin(fresh: dict, source: dict, rows: tuple[Row, ...]) -> dict:
    """The tree `fresh` with the tensors that `rows`, of `match`, take from `source`."""
    values = dict(_leaves(source))
    found = {row.target: (row.kind, values.get(row.source)) for row in rows}

    def value(path, leaf):
        kind, old = found[states.path_name(path)]
        if kind == "loaded":
            return old
        return _widen(old, leaf.shape[0]) if kind == "reshaped" else leaf

    return jax.tree_util.tree_map_with_path(value, fresh)


def misfits(rows: tuple[Row, ...], new_labels: bool) -> list[Row]:
    """The rows skipped or missing for another reason than added labels."""
    return [
        row
        for row in rows
        if row.kind in ("skipped", "missing")
        and not (new_labels and OF_LABELS.fullmatch(row.target or row.source))
    ]


def table(rows: tuple[Row, ...]) -> str:
    """The number of tensors of each kind, then a line for each that is not loaded."""
    counts = {kind: sum(row.kind == kind for row in rows) for kind in KINDS}
    lines = [f"{n:5} {kind:9} {KINDS[kind]}" for kind, n in counts.items()]
    return "\n".join([*lines, *(row.line() for row in rows if row.kind != "loaded")])


def _widen(weight: jax.Array, rows: int) -> jax.Array:
    """An equalised dense layer's weight for more inputs, which it ignores.

    The layer multiplies it by 1 / sqrt(inputs), so the old weights grow to compensate.
    """
    scaled = weight * math.sqrt(rows / weight.shape[0])
    return jnp.pad(scaled, ((0, rows - weight.shape[0]), (0, 0)))


def _leaves(tree: dict) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(states.path_name(path), leaf) for path, leaf in leaves]


def _key(path: str) -> str:
    return _SIZES.sub(r"/L\1/", path)
