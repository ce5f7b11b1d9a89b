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


def candidates(names: Sequence[str]) -> list[str]:
    """The files that look like tables of labels."""
    return [name for name in names if TABLES.search(name)]


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
    depth = _shared(_places(among or images))
    parts = {place: _parts(place)[depth:] for place in _places(images)}
    places = ((name, name.rpartition("/")[0]) for name in images)
    return {name: parts[place][0] for name, place in places if parts[place]}


def _places(images: Sequence[str]) -> set[str]:
    return {name.rpartition("/")[0] for name in images}


def _parts(place: str) -> list[str]:
    return place.split("/") if place else []


def _shared(places: set[str]) -> int:
    """How many folders all places share, but one less if there is one place only."""
    first, last = min(map(_parts, places)), max(map(_parts, places))
    depth = 0
    while depth < len(first) and first[depth] == last[depth]:
        depth += 1
    return depth - 1 if depth and first == last else depth


def could_be_classes(images: Sequence[str]) -> bool:
    """Whether images lie in several folders, other than those of archives."""
    several = len(_places(images)) > 1 and len(set(class_folders(images).values())) > 1
    return several and not all(map(writer.IMAGE_NAME.fullmatch, images))
