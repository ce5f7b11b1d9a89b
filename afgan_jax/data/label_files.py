"""Where a set keeps its labels: dataset.json, other tables, folders as classes."""

import os
import re
from collections.abc import Sequence

from afgan_jax.data import writer
from afgan_jax.data.files import Files

TABLE = "dataset.json"
# Files that look like tables of labels.
TABLES = re.compile(
    r"\.(json|jsonl|csv|tsv|xlsx|xml)$|(label|class|attr|annot|identity)[^/]*\.txt$",
    re.IGNORECASE,
)


def find(files: Files) -> str | None:
    """The dataset.json at the top, else the only one below, as zips of folders have it.

    The names in it are relative to its own folder. None if there is none; ValueError if
    there are several below the top.
    """
    found = [n for n in files.names if n == TABLE or n.endswith(f"/{TABLE}")]
    if TABLE in found:
        return TABLE
    if len(found) > 1:
        raise ValueError(
            f"{files.path} has no {TABLE} at its top and {len(found)} below, first"
            f" {found[0]} and {found[1]}: use one of these folders, or one {TABLE}"
        )
    return found[0] if found else None


def candidates(files: Files) -> list[str]:
    """The files that look like tables of labels."""
    return [name for name in files.names if TABLES.search(name)]


def within(files: Files, path: str) -> str | None:
    """The name of the file at `path`, if it is one of `files`."""
    found = os.path.relpath(os.path.realpath(path), os.path.realpath(files.path))
    return found if found in files.names else None


def class_folders(
    images: Sequence[str], among: Sequence[str] | None = None
) -> dict[str, str]:
    """{image: folder} for those of `images` that lie in one.

    The folder is the first below what all images `among` share, so that a folder around
    them all makes no difference.
    """
    depth = _shared(among or images)
    places = {name: name.split("/")[:-1] for name in images}
    return {n: place[depth] for n, place in places.items() if len(place) > depth}


def _shared(images: Sequence[str]) -> int:
    """How many folders all images share, but one less if these hold all of them."""
    places = [name.split("/")[:-1] for name in images]
    first, last = min(places), max(places)
    depth = 0
    while depth < len(first) and first[depth] == last[depth]:
        depth += 1
    return depth - 1 if depth and first == last else depth


def could_be_classes(images: Sequence[str]) -> bool:
    """Whether images lie in several folders, other than those of archives."""
    several = len(set(class_folders(images).values())) > 1
    return several and not all(map(writer.IMAGE_NAME.fullmatch, images))
