"""Checksums of the leaves of a pytree of arrays.

Records are {leaf path: {shape, dtype, crc32}}; crc32 is None for abstract leaves and
for those that no process holds as a whole.
"""

import json
import zlib
from typing import Any

import jax
import numpy as np

Records = dict[str, dict]


class Mismatch(ValueError):
    """The tree asked for is not the one that was saved."""


def records(tree: Any) -> Records:
    """The records of all leaves."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    found = {}
    for path, leaf in leaves:
        name = name_of(path)
        assert isinstance(getattr(leaf, "dtype", None), np.dtype), f"{name}: {leaf!r}"
        found[name] = {
            "shape": list(leaf.shape),
            "dtype": leaf.dtype.name,
            "crc32": _crc32(leaf),
        }
    return found


def name_of(path: tuple) -> str:
    """The name of a leaf from its path in the tree."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def seal(leaves: Records) -> dict:
    """The records with a checksum of their own, to be written as JSON."""
    text = json.dumps(leaves, sort_keys=True)
    return {"leaves": leaves, "crc32": zlib.crc32(text.encode())}


def unseal(text: str | bytes) -> Records:
    """The records that seal() sealed; ValueError if they changed."""
    sealed = json.loads(text)
    if sealed != seal(sealed["leaves"]):
        raise ValueError("its list of checksums does not match its own checksum")
    return sealed["leaves"]


def compare(saved: Records, abstract: Any, partial: bool, where: str) -> None:
    """Raises Mismatch naming the first leaf in which the two trees differ."""
    wanted = records(abstract)
    for name in wanted if partial else sorted(saved.keys() | wanted.keys()):
        sides = [_form(side.get(name)) for side in (saved, wanted)]
        if sides[0] != sides[1]:
            raise Mismatch(
                f"{where} holds another architecture: {name} is {sides[0]} there, "
                f"{sides[1]} here"
            )


def first_damage(saved: Records, restored: Records) -> str | None:
    """Names the first restored leaf that differs from the saved one; None if none."""
    for name, record in restored.items():
        sums = record["crc32"], saved[name]["crc32"]
        if None not in sums and sums[0] != sums[1]:
            return f"the checksum of {name} does not match"
    return None


def _crc32(leaf) -> int | None:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return None
    if isinstance(leaf, jax.Array) and not (
        leaf.is_fully_replicated or leaf.is_fully_addressable
    ):
        return None
    return zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8))


def _form(record: dict | None) -> str:
    return f"{record['dtype']}{record['shape']}" if record else "absent"
