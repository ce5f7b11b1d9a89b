"""Image sets by name or path: the section `data` of a config."""

import os
import pathlib

from afgan_jax.data import archive, earth

SETS = {"earth": earth.build}  # name -> build(cache_dir, resolution) -> path


def open_set(
    path: str,
    *,
    cache_dir: str | os.PathLike,
    resolution: int | None = None,
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
        pathlib.Path(cache_dir).mkdir(parents=True, exist_ok=True)
        path = SETS[path](cache_dir, resolution or 64)
    return archive.Archive.open(path, **of_archive)
