"""Copies of zips on a disk of this machine, where reading is fast.

A copy is complete or not there: it grows as .NAME.part beside it, where a later try
goes on, and gets its name when its size, the zip's directory, which holds the CRC-32 of
every member, and all members fit.
"""

import contextlib
import dataclasses
import errno
import http.client
import io
import os
import pathlib
import re
import shutil
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator

from afgan_jax import errors, locks, patience, places
from afgan_jax.data import paths

CHUNK = 2**24  # bytes read at a time
TIMEOUT = 60  # seconds without an answer of a web server


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of `size` bytes anywhere; open_at(start) reads those from start on."""

    where: str
    name: str
    size: int
    open_at: Callable[[int], io.IOBase]


def stage(source: str | os.PathLike, target: str | os.PathLike) -> tuple:
    """(path of the copy, its size, whether it had to be copied).

    source: a zip here, in a bucket or on the web; target: a file, or a folder for it,
    on this machine. Processes that want the same copy wait for the first of them.
    Raises ValueError if there is no such zip, errors.Stopped if the copy did not end
    well, where another try goes on; OSError for a disk that is full.
    """
    found = find(source)
    path = _place(target, found)
    with _alone(path):
        if path.exists() and fault_of(path, found) is None:
            return path, found.size, False
        part = path.with_name(f".{path.name}.part")
        is_resumed = part.exists()
        _fetch(found, part)
        fault = fault_of(part, found)
        if fault is not None and is_resumed:  # perhaps of another version of the source
            part.unlink()
            _fetch(found, part)
            fault = fault_of(part, found)
        if fault is not None:
            part.unlink()
            raise ValueError(f"{found.where} {fault}: make it anew, or copy it again")
        part.replace(path)
    return path, found.size, True


def find(source: str | os.PathLike) -> Source:
    """The source at a path or address; ValueError if it is no file."""
    if re.match("https?://", os.fspath(source)):
        return _of_web(os.fspath(source))
    path = paths.resolve(source)
    if not path.exists():
        raise ValueError(f"{path} does not exist: give a zip")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: make a zip of it with dataset convert")

    def open_at(start: int) -> io.IOBase:
        file = path.open("rb")
        file.seek(start)
        return file

    return Source(str(path), path.name, path.stat().length, open_at)


def fault_of(path: pathlib.Path, source: Source) -> str | None:
    """What of the copy at `path` does not fit; None if it is complete and undamaged."""
    size = path.stat().st_size
    if size != source.size:
        return f"has {source.size} bytes, and its copy {size}"
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as copy:
            file.seek(copy.start_dir)
            with source.open_at(copy.start_dir) as original:
                if file.read() != original.read():
                    return "has another directory than its copy"
            damaged = copy.testzip()
    except Exception as error:  # damaged zips raise errors of a dozen types
        if isinstance(error, OSError):
            raise
        return f"is no undamaged zip ({error})"
    return f"is damaged at {damaged}" if damaged else None


def _place(target: str | os.PathLike, source: Source) -> pathlib.Path:
    text = places.named(target)
    if "://" in text:
        raise ValueError(
            f"{text} is not on this machine: name a folder of a local disk"
        )
    path = pathlib.Path(text)
    if path.is_dir() or text.endswith("/"):
        path /= source.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
    """Waits until no other process works on the copy at `path`."""
    while True:
        try:
            lock = locks.Lock(path.with_name(f".{path.name}.lock"))
        except BlockingIOError:
            places.tell(f"waiting for another process that copies {path}")
            time.sleep(0.2)
        else:
            break
    with lock:
        yield


def _fetch(source: Source, part: pathlib.Path) -> None:
    """Completes `part`, of which the beginning may be there."""
    with contextlib.suppress(FileNotFoundError):
        if part.stat().st_size > source.size:
            part.unlink()
    there = part.stat().st_size if part.exists() else 0
    needed, free = source.size - there, shutil.disk_usage(part.parent).free
    if needed > free:
        why = f"{needed / 1e6:z.1f} MB are missing, {free / 1e6:z.1f} MB are free"
        raise OSError(errno.ENOSPC, f"the disk is full: {why}", str(part.parent))
    try:
        patience.patiently(source.where, lambda: _append(source, part))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        reason = errors.in_one_line(error)
        again = "run the same command to go on from there"
        said = f"{source.where} was copied in part ({reason}); {again}"
        raise errors.Stopped(said) from error


def _append(source: Source, part: pathlib.Path) -> None:
    with part.open("ab") as file:
        try:
            with source.open_at(file.tell()) as original:
                shutil.copyfileobj(original, file, CHUNK)
        except Exception as error:  # buckets and the web have errors of their own
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
        if file.tell() < source.size:
            raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")


def _of_web(address: str) -> Source:
    try:
        with _reply(address, 0) as reply:
            length = reply.headers["Content-Length"]
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ValueError(f"{address} cannot be read: {error}") from error
    if length is None:
        raise ValueError(f"{address} does not say its size: download it first")
    name = urllib.request.url2pathname(urllib.parse.urlsplit(address).path)
    name = name.rpartition("/")[2] or "archive.zip"

    def open_at(start: int) -> io.IOBase:
        reply = _reply(address, start)
        if reply.status != http.client.PARTIAL_CONTENT:  # it sends all there is
            for begin in range(0, start, CHUNK):
                reply.read(min(CHUNK, start - begin))
        return reply

    return Source(address, name, int(length), open_at)


def _reply(address: str, start: int):
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(address, headers=headers)
    return urllib.request.urlopen(request, timeout=TIMEOUT)
