"""Weights of one training as the beginning of another: what fits, and how.

A tree is {"G", "D", "G_ema"}, variables as in TrainState; shapes will do where nothing
is computed. Tensors are matched by path. Alias-free layers carry their sizes in their
names, so they are matched by number, "L3_36_512" by "L3": each does the same part of
the way from low to high frequencies. Layers of StyleGAN2 and of the discriminator are
named, and matched, by resolution.

Where labels are new, the generator begins as it was whatever the label: its first dense
layer keeps the weights of z, and takes the embedded labels with weights of zero, from
which it learns like any other. The discriminator's projection onto labels has nothing
to begin from: its last layer and its mapping are fresh.
"""

import dataclasses
import math
import re
from typing import Any

import jax
import jax.numpy as jnp

PARTS = ("G", "D", "G_ema")
KINDS = {
    "loaded": "as they were",
    "reshaped": "kept, with zeros for the inputs that are new",
    "skipped": "not used: no tensor of this shape here",
    "missing": "fresh: there is none to begin from",
}
# Paths of tensors that only networks with labels have, or have in this shape.
OF_LABELS = re.compile(r".+/mapping/embed/\w+|D/params/(mapping|b\d+/out)/.+")
_FIRST_DENSE = "mapping/fc0/weight"
_SIZES = re.compile(r"/L(\d+)_\d+_\d+/")

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """What becomes of one tensor. A shape is None where there is no such tensor."""

    kind: str  # of KINDS
    source: str | None  # path in either tree
    target: str | None
    old: Shape | None
    new: Shape | None

    def line(self) -> str:
        old, new = ("-" if s is None else str(list(s)) for s in (self.old, self.new))
        return f"{self.kind:9} {self.target or self.source}  {old} -> {new}"


def match(source: dict, target: dict) -> tuple[Row, ...]:
    """What every tensor of `target` begins from, and what is left of `source`.

    A tensor whose counterpart has another shape is skipped, and fresh here.
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
        elif path.endswith(_FIRST_DENSE) and not has_labels and _more_rows(old, new):
            kind = "reshaped"
        else:
            kind = "skipped"
        rows.append(Row(kind, name, path, old, new))
    return (*rows, *(Row("skipped", path, None, s, None) for path, s in there.values()))


def begin(fresh: dict, source: dict, rows: tuple[Row, ...]) -> dict:
    """The tree `fresh` with what `rows`, of `match`, take from `source`."""
    values = dict(_leaves(source))
    found = {row.target: (row.kind, values.get(row.source)) for row in rows}

    def value(path, leaf):
        kind, old = found[_name(path)]
        if kind == "loaded":
            return old
        return _widen(old, leaf.shape[0]) if kind == "reshaped" else leaf

    return jax.tree_util.tree_map_with_path(value, fresh)


def misfits(rows: tuple[Row, ...], new_labels: bool) -> list[Row]:
    """The rows that neither load nor are fresh because labels are new."""
    return [
        row
        for row in rows
        if row.kind in ("skipped", "missing")
        and not (new_labels and OF_LABELS.fullmatch(row.target or row.source))
    ]


def table(rows: tuple[Row, ...]) -> str:
    """How many tensors are of each kind, then all but the loaded ones by name."""
    counts = {kind: sum(row.kind == kind for row in rows) for kind in KINDS}
    lines = [f"{n:5} {kind:9} {KINDS[kind]}" for kind, n in counts.items()]
    return "\n".join([*lines, *(row.line() for row in rows if row.kind != "loaded")])


def _widen(weight: jax.Array, rows: int) -> jax.Array:
    """An equalised dense layer's weight for more inputs, which it ignores: its scale
    1 / sqrt(inputs) becomes smaller by as much as the weights become larger."""
    scaled = weight * math.sqrt(rows / weight.shape[0])
    return jnp.pad(scaled, ((0, rows - weight.shape[0]), (0, 0)))


def _more_rows(old: Shape, new: Shape) -> bool:
    return old[1:] == new[1:] and old[0] < new[0]


def _leaves(tree: dict) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(_name(path), leaf) for path, leaf in leaves]


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _key(path: str) -> str:
    return _SIZES.sub(r"/L\1/", path)
