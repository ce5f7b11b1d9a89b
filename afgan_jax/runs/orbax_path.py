"""Paths that Orbax reads as they are written."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from etils import epath
from etils.epath import backend


class _Literal(type(epath.Path("/"))):
    """A path whose glob takes the pattern for one, and not the folder as well."""

    def glob(self, pattern: str) -> Iterator["_Literal"]:
        names = glob.glob(pattern, root_dir=os.fspath(self), include_hidden=True)
        return (self / name for name in names)


def literal(path: Path) -> epath.Path:
    """The path for Orbax; raises ValueError as `check` does."""
    check(path)
    return _Literal(path)


def remote(url: object) -> epath.Path:
    """The URL gs://... for Orbax, without caches of what is there."""
    os.environ["EPATH_USE_TF"] = "0"  # TensorFlow, if installed, has caches of its own
    listings = backend.fsspec_backend.fs(str(url)).dircache  # of all epaths: data, too
    listings.use_listings_cache = False
    listings.clear()
    return epath.Path(str(url))


def check(path: Path) -> None:
    """Raises ValueError for a path that would lead Orbax to other files."""
    text, fix = os.fspath(path), "name another folder"
    if "\\" in text:
        raise ValueError(
            f"{path} holds a backslash, which checkpoints take for a slash: {fix}"
        )
    if text != text.encode(errors="replace").decode():
        raise ValueError(f"{path} is not UTF-8, which checkpoints need: {fix}")
    if os.fspath(epath.Path(path)) != text:
        raise ValueError(f"{path} would be {epath.Path(path)} to checkpoints: {fix}")
