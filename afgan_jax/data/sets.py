"""Image sets by name or path: the section `data` of a config."""

import errno
import os
import pathlib
from collections.abc import Callable

from afgan_jax import places
from afgan_jax.data import archive, earth

CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
SETS = {"earth": earth.build}  # name -> build(cache_dir, resolution) -> path


def open_set(
    path: str,
    *,
    cache_dir: str | os.PathLike,
    resolution: int | tuple | None = None,
    use_labels: bool = False,
    max_images: int | None = None,
    mirror: bool = False,
    seed: int = 0,
) -> archive.Archive:
    """The archive at `path`, or the set of that name, built once in `cache_dir`.

    See `Archive.open` for the other arguments and errors.
    """
    of_archive = {k: v for k, v in locals().items() if k not in ("path", "cache_dir")}
    if path in SETS:
        path = _built(SETS[path], pathlib.Path(cache_dir), resolution or 64)
    return archive.Archive.open(path, **of_archive)


def _built(build: Callable, folder: pathlib.Path, resolution: int) -> pathlib.Path:
    """The set in `folder`, or for this process alone if it cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return build(folder, resolution)
    except OSError as error:
        if error.errno not in CLOSED:
            raise
        return build(places.temporary(), resolution)
