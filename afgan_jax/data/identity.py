"""What a run records of its image set, to notice another set when it is resumed.

    images          how many there are, each counted once
    names, sizes    hashes of all file names, and sizes in bytes (not in buckets)
    content         a hash of the content of SAMPLED images, evenly distributed
    checksums       a hash of the checksums of all, which only zips keep
    labels          a hash of all labels, their number and the names of classes
    empty_classes   the classes that no image has

This takes seconds for sets of any size. An image of a folder that changes, but keeps
its size and is not sampled, is not noticed.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from afgan_jax.data import paths
from afgan_jax.data.archive import Archive
from afgan_jax.data.files import Files

SAMPLED = 1024
CONTENT = ("sizes", "content", "checksums")


def of_archive(archive: Archive) -> dict[str, Any]:
    """The facts above; None for those that cannot be had quickly."""
    files = archive.files
    names = [archive.images[i] for i in archive.items[: archive.mirrored]]
    count = min(len(names), SAMPLED)
    sampled = [names[i] for i in np.linspace(0, len(names) - 1, count).astype(int)]
    is_zip = not files.path.is_dir()
    return {
        "images": len(names),
        "names": _digest(names),
        "sizes": _digest(_sizes(files, names)),
        "content": _digest([_checksum(files, name) for name in sampled]),
        "checksums": _digest([_checksum(files, name) for name in names if is_zip]),
        "labels": _digest_of_labels(archive),
        "empty_classes": archive.labels.empty_classes.tolist(),
    }


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs, in words; not what is missing in one of them."""
    known = {key for key in new if None not in (old.get(key), new[key])}
    differing = {key for key in known if old[key] != new[key]}
    if "images" in differing:
        return [f"{new['images']} images instead of {old['images']}"]
    found = []
    if "names" in differing:
        found.append("other file names")
    if not differing.isdisjoint(CONTENT):
        found.append("other images")
    if "labels" in differing:
        found.append("other labels")
    return found


def _sizes(files: Files, names: Sequence[str]) -> list[int | None]:
    if not files.path.is_dir():
        return [files.checksum(name)[0] for name in names]
    if paths.is_remote(files.path):
        return []
    folder = os.fspath(files.path)
    return [_size(os.path.join(folder, name)) for name in names]


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _checksum(files: Files, name: str) -> tuple[int, int] | None:
    """None of a file that cannot be read, which training tells when it needs it."""
    try:
        return files.checksum(name)
    except (OSError, ValueError):
        return None


def _digest_of_labels(archive: Archive) -> str | None:
    labels = archive.labels.of(np.arange(archive.mirrored))
    if not labels.dim:
        return None
    about = json.dumps([labels.dim, labels.class_names, str(labels.values.dtype)])
    return hashlib.sha256(about.encode() + labels.values.tobytes()).hexdigest()


def _digest(parts: Sequence[Any]) -> str | None:
    """A hash of text and numbers; None of nothing."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest() if parts else None
