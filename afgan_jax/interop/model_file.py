"""The model file: networks and their settings as safetensors, which run nothing.

Tensors are named by part and path, as in "G_ema.params.mapping.fc0.weight". The only
key of the file's metadata, METADATA, is a sealed JSON object (see json_files):

format        FORMAT of the program that wrote it
settings      {"generator": arguments of make_generator, "discriminator": ...}
sha256        {part: that of its tensors, see `digest`}
facts         anything else in JSON: layers, step, kimg, class names, origin, licence
"""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from afgan_jax import errors, json_files

FORMAT = 1
METADATA = "afgan_jax"
SECTIONS = ("settings", "sha256", "facts")
SUFFIX = ".safetensors"
Tree = Mapping[str, Any]  # nested dicts of arrays


class Header(NamedTuple):
    """What a file says of its networks, before any tensor is read."""

    settings: dict[str, dict]
    parts: tuple[str, ...]
    facts: dict[str, Any]
    sha256: dict[str, str]


def encode(settings: Mapping, parts: Mapping[str, Tree], facts: Mapping) -> bytes:
    """The content of a file: the same bytes for the same arguments."""
    tensors = {part: flat(tree, part) for part, tree in parts.items()}
    described = {
        "format": FORMAT,
        "settings": settings,
        "sha256": {part: digest(held) for part, held in tensors.items()},
        "facts": facts,
    }
    text = json.dumps(json_files.seal(described), sort_keys=True)
    together = {
        name: array for held in tensors.values() for name, array in held.items()
    }
    return safetensors.numpy.save(together, {METADATA: text})


def read_header(path: str | os.PathLike) -> Header:
    """Raises ValueError unless the file is a complete model file of a known format."""
    with _opened(path) as file:
        text = (file.metadata() or {}).get(METADATA)
        parts = {name.partition(".")[0] for name in file.keys()}
    if text is None:
        raise ValueError(
            f"{path} holds tensors, but no settings of networks: it is no model file"
            " (python -m afgan_jax export writes one)"
        )
    found = json_files.parse(text, path)
    version = found.get("format") if isinstance(found, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise ValueError(
            f"{path} is of format {version}, this program reads up to {FORMAT}: use the"
            " newer version of afgan_jax that wrote it"
        )
    stated = found if version == FORMAT else {}
    sections = [stated[name] for name in SECTIONS if name in stated]
    is_whole = len(sections) == len(SECTIONS) == len(stated) - 1
    if not is_whole or not all(isinstance(x, dict) for x in sections):
        raise ValueError(f"{path} describes no networks: it is no model file")
    settings, sha256, facts = sections
    if parts != sha256.keys() or not parts:
        raise ValueError(
            f"{path} holds {sorted(parts)}, not {sorted(sha256)} as stated"
        )
    return Header(settings, tuple(sorted(parts)), facts, sha256)


def read(
    path: str | os.PathLike, part: str, shapes: Tree, sha256: str
) -> dict[str, dict]:
    """The arrays of one part, which has these shapes (and dtypes): nothing else.

    Raises ValueError if the tensors are others, or not those of this sha256.
    """
    leaves = _leaves(shapes, part)
    expected = {name: (tuple(x.shape), np.dtype(x.dtype)) for name, x in leaves}
    with _opened(path) as file:
        names = [name for name in file.keys() if name.partition(".")[0] == part]
        missing = sorted(expected.keys() ^ set(names))
        if missing:
            raise ValueError(f"{path}: {missing[0]} is not as its settings say")
        for name, (shape, _) in expected.items():
            found = tuple(file.get_slice(name).get_shape())
            if found != shape:
                raise ValueError(
                    f"{path}: {name} is {list(found)}, not {list(shape)} as its"
                    " settings say"
                )
        arrays = {name: file.get_tensor(name) for name in names}
    wrong = [name for name, (_, kind) in expected.items() if arrays[name].dtype != kind]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]} is {arrays[wrong[0]].dtype}")
    if digest(arrays) != sha256:
        raise ValueError(
            f"{path} is damaged: tensors of {part} are not those that were written"
        )
    return filled(shapes, part, arrays)


def count_parameters(path: str | os.PathLike) -> dict[str, int]:
    """How many numbers are trained in each part."""
    counts: dict[str, int] = {}
    with _opened(path) as file:
        for name in file.keys():
            part, collection, *_ = name.split(".")
            size = math.prod(file.get_slice(name).get_shape())
            counts[part] = counts.get(part, 0) + size * (collection == "params")
    return counts


def digest(tensors: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of names, dtypes, shapes and little-endian elements, by name."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        total.update(f"{name} {array.dtype.name} {list(array.shape)}\n".encode())
        total.update(array.astype(array.dtype.newbyteorder("<"), order="C").data)
    return total.hexdigest()


def flat(tree: Tree, part: str) -> dict[str, np.ndarray]:
    """The arrays of a part by dotted name."""
    return {name: np.array(leaf, order="C") for name, leaf in _leaves(tree, part)}


def _leaves(tree: Tree, prefix: str) -> Iterator[tuple[str, Any]]:
    """(dotted name, leaf) of a tree."""
    for key, value in tree.items():
        assert "." not in key, key
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value


def filled(tree: Tree, prefix: str, arrays: Mapping[str, Any]) -> dict:
    """The tree with the array of each leaf's dotted name."""
    found = {}
    for key, value in tree.items():
        name = f"{prefix}.{key}"
        is_tree = isinstance(value, Mapping)
        found[key] = filled(value, name, arrays) if is_tree else arrays[name]
    return found


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Any]:
    """A safetensors file, of which the library reads the header and what is asked."""
    with errors.accessing(path), open(path, "rb"):
        pass  # the library's own errors do not name the file
    try:
        with safetensors.safe_open(os.fspath(path), framework="numpy") as file:
            yield file
    except (safetensors.SafetensorError, TypeError, KeyError, OverflowError) as error:
        reason = errors.in_one_line(error)[:200]
        raise ValueError(
            f"{path} is no safetensors file, or damaged: {reason}"
        ) from None
