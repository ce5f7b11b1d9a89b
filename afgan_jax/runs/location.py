"""Where a run is: in a folder of this machine, or in a bucket.

Of a run in a bucket the small files are read and written in a folder here: that which
`Location.folder` names is temporary and for reading, `scratch` is that of a training.
"""

import contextlib
import dataclasses
import os
import re
import shutil
import zlib
from pathlib import Path

from afgan_jax import places
from afgan_jax.runs import (
    broadcast,
    bucket_steps,
    mirror,
    orbax_path,
    step_folder,
)
from afgan_jax.runs.bucket import Bucket


@dataclasses.dataclass(frozen=True)
class Location:
    """The small files of a run in `folder`, and in the bucket if there is one."""

    folder: Path
    bucket: Bucket | None = None

    def __str__(self) -> str:
        return str(self.bucket or self.folder)

    @property
    def checkpoints(self) -> "Path | Bucket":
        return (self.bucket or self.folder) / "checkpoints"

    @property
    def caches(self) -> Path:
        """A folder here, for what can be made again; programs are found by its name."""
        home = self.folder if self.bucket is None else scratch(self.bucket)
        return home / ".cache"

    @property
    def kept(self):
        """The module that knows the files of a step there."""
        return step_folder if self.bucket is None else bucket_steps

    def steps(self) -> list[int]:
        """The steps that are completely saved, in ascending order."""
        return self.kept.complete(self.checkpoints)

    def check_any_complete(self) -> None:
        """Raises ValueError if there are checkpoints, of which none is complete."""
        self.kept.check_any_complete(self.checkpoints)

    def check_has(self, step: int | None) -> None:
        """Raises ValueError unless the step, None: any, is completely saved."""
        self.kept.check_has(self.checkpoints, step)

    def exists(self) -> bool:
        return self.folder.is_dir() if self.bucket is None else not self.is_empty()

    def is_empty(self) -> bool:
        """Whether it has no files but hidden ones."""
        if self.bucket is None:
            return all(entry.name.startswith(".") for entry in self.folder.iterdir())
        return all(name.startswith(".") for name in self.bucket.names())


def of(path: str | os.PathLike) -> Location:
    """The place that a path or URL names, its small files as they are now.

    Raises ValueError for a path that checkpoints cannot have, and as Bucket.check.
    """
    text = places.named(path)
    if places.is_url(text):
        bucket = Bucket(text).check()
        kinds = mirror.READ, mirror.SHARED
        return view(bucket, lambda: mirror.read(bucket, *kinds)[0])
    folder = Path(text).absolute()
    orbax_path.check(folder)
    return Location(folder)


def view(bucket: Bucket, contents) -> Location:
    """The place with a folder of this process that holds process 0's contents()."""
    folder = places.temporary() / _name(bucket)
    found = broadcast.from_first(lambda: mirror.as_text(contents()))
    folder.mkdir(exist_ok=True)
    mirror.fill(folder, mirror.from_text(found), mirror.READ, mirror.ADDED_TO)
    return Location(folder, bucket)


def scratch(bucket: Bucket) -> Path:
    """The folder in which a training writes the small files: it stays for its caches.

    A temporary one if there is no place for caches.
    """
    home = places.cache()
    if home is None or not places.is_open(home / "runs"):
        home = places.temporary()
    return home / "runs" / _name(bucket)


def clear(folder: Path) -> None:
    """Removes all files but hidden ones."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _name(bucket: Bucket) -> str:
    readable = re.sub(r"[^\w.-]+", "-", bucket.url.partition("://")[2])[-100:]
    return f"{readable}-{zlib.crc32(bucket.url.encode()):08x}"
