"""The small files of a run in a bucket: written in a folder here, and copied there."""

import contextlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from afgan_jax import errors
from afgan_jax.runs import atomic
from afgan_jax.runs.bucket import Bucket

# What a run is read from, and what training adds lines to.
READ = re.compile(r"[^/.][^/]*\.(json|txt)|checkpoints/best\.json")
ADDED_TO = re.compile(r"[^/.][^/]*\.jsonl")
SHARED = re.compile(r"metric-[^/]*\.jsonl")  # to which others add lines too
PAUSE = 30.0  # seconds after a failure
_log = logging.getLogger(__name__)


class Mirror:
    """Copies a folder's visible files to a bucket, each when it has changed.

    A failure is told once and tried again.
    """

    def __init__(
        self,
        folder: Path,
        bucket: Bucket,
        check: Callable[[], None] = lambda: None,
    ):
        """check raises if nothing may be written any more."""
        self.folder, self.bucket, self._check = folder, bucket, check
        self._there: dict[str, tuple] = {}  # (time, size) of files as copied, by name
        self._versions: dict[str, int] = {}  # of SHARED files
        self._added: dict[str, list[bytes]] = {}  # lines that others added to them
        self._one_at_a_time = threading.Lock()
        self._is_failing = self._is_closed = False
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def pull(self, *kinds: re.Pattern) -> None:
        """Makes the folder's files of these kinds those of the bucket."""
        contents, self._versions = read(self.bucket, *kinds)
        fill(self.folder, contents, *kinds)
        for name in contents:
            self._there[name] = _state(self.folder / name)

    def push(self) -> None:
        """Copies what changed; ValueError or errors.Stopped if that fails."""
        with self._one_at_a_time:
            self._check()
            found = {str(path.relative_to(self.folder)): path for path in self._files()}
            for name, path in sorted(found.items()):
                with contextlib.suppress(FileNotFoundError):
                    state = _state(path)
                    if self._there.get(name) != state:
                        self._copy(name, path.read_bytes())
                        self._there[name] = state
            gone = self._there.keys() - found.keys()
            self.bucket.remove(sorted(gone))
            for name in gone:
                del self._there[name]

    def wake(self) -> None:
        """Lets a thread copy what changed."""
        if not self._thread.is_alive() and not self._is_closed:
            self._thread.start()
        self._due.set()

    def flush(self) -> bool:
        """Copies what changed now; returns whether that succeeded, and tells if not."""
        try:
            self.push()
        except (errors.Stopped, ValueError, OSError) as error:
            if not self._is_failing:
                reason = errors.in_one_line(error).partition(": run the same")[0]
                _log.warning("files cannot be uploaded, trying on: %s", reason)
            self._is_failing = True
        else:
            if self._is_failing:
                _log.warning("files are uploaded to %s again", self.bucket)
            self._is_failing = False
        return not self._is_failing

    def close(self) -> None:
        """Copies what is left, and ends the thread."""
        self._is_closed = True
        self._due.set()
        if not self.flush():
            _log.warning("%s has files that %s lacks", self.folder, self.bucket)

    def _run(self) -> None:
        while self._due.wait() and not self._is_closed:
            self._due.clear()
            if not self.flush():
                self._due.wait(PAUSE)
                self._due.set()

    def _files(self) -> Iterator[Path]:
        """The visible files of the folder."""
        for folder, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (Path(folder, n) for n in names if not n.startswith("."))

    def _copy(self, name: str, data: bytes) -> None:
        """Writes the object; one of SHARED keeps the lines that others added."""
        if not SHARED.fullmatch(name):
            self.bucket.write(name, data)
            return
        version, added = self._versions.get(name, 0), self._added.setdefault(name, [])
        while True:
            found = self.bucket.write(name, data + b"".join(added), version)
            if found is not None:
                self._versions[name] = found
                return
            there, version = self.bucket.read(name)
            known = {*data.splitlines(True), *added}
            added += [x for x in (there or b"").splitlines(True) if x not in known]


def read(bucket: Bucket, *kinds: re.Pattern) -> tuple[dict[str, bytes], dict[str, int]]:
    """(contents, versions) of the objects of these kinds."""
    names = [n for n in bucket.names() if any(kind.fullmatch(n) for kind in kinds)]
    found = {name: bucket.read(name) for name in names}
    there = {name: both for name, both in found.items() if both[0] is not None}
    return (
        {name: data for name, (data, _) in there.items()},
        {name: version for name, (_, version) in there.items()},
    )


def of_folder(folder: Path, *kinds: re.Pattern) -> dict[str, bytes]:
    """The contents of the folder's files of these kinds."""
    found = [*sorted(folder.iterdir()), folder / "checkpoints" / "best.json"]
    names = {str(path.relative_to(folder)): path for path in found if path.is_file()}
    return {
        name: atomic.read(path)
        for name, path in names.items()
        if any(kind.fullmatch(name) for kind in kinds)
    }


def fill(folder: Path, contents: Mapping[str, bytes], *kinds: re.Pattern) -> None:
    """Makes the folder's files of these kinds the ones given, and no others."""
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if any(kind.fullmatch(name) for kind in kinds) and name not in contents:
            path.unlink()
    for name, data in contents.items():
        atomic.write(folder / name, data)


def as_text(contents: Mapping[str, bytes]) -> str:
    """The contents as JSON, for other processes; see `from_text`."""
    return json.dumps({name: data.decode("latin-1") for name, data in contents.items()})


def from_text(text: str) -> dict[str, bytes]:
    return {name: data.encode("latin-1") for name, data in json.loads(text).items()}


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
