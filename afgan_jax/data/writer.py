"""Archives in the published layout, written so that interrupted writes can resume.

Image i is `<first 5 digits>/img<8 digits of i>.png`, a PNG without compression. Zips
store members uncompressed with a fixed date, so equal input gives equal bytes.

An unfinished archive OUT is .OUT.KEY.partial beside it (a zip without directory, or a
folder); for an OUT in a bucket, in the system's folder for temporary files. KEY is a
hash of all that determines the content. Opening the same OUT and KEY resumes after the
last complete image and removes partial archives of other keys. OUT appears when it is
complete.
"""

import concurrent.futures
import contextlib
import glob
import io
import json
import os
import pathlib
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator

from etils import epath
from PIL import Image

from afgan_jax import errors, json_files, locks
from afgan_jax.data import paths

IMAGE_NAME = re.compile(r"\d{5}/img\d{8}\.png")
HEADER = struct.Struct("<4s5H3I2H")  # of a zip's member
UPLOADS = 16  # at a time


def image_name(index: int) -> str:
    number = f"{index:08d}"
    return f"{number[:5]}/img{number}.png"


def encode(image: Image.Image) -> bytes:
    """A PNG of compression level 0."""
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=0)
    return file.getvalue()


def add(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    target.writestr(_info(name), content)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    return info


def check_free(out: epath.Path) -> None:
    """Raise ValueError if `out` exists, unless it is an empty folder."""
    taken = any(out.iterdir()) if out.is_dir() else out.exists()
    if taken:
        raise ValueError(f"{out} exists: remove it, or choose another name")


def open_writer(out: epath.Path, key: str) -> "ZipWriter | FolderWriter":
    """A writer of a zip if `out` is NAME.zip, else of a folder; resumes a partial one.

    Raises ValueError if `out` cannot be written or another process is writing it.
    """
    local = not paths.is_remote(out)
    folder = pathlib.Path(out.parent if local else tempfile.gettempdir())
    # Archives in different buckets may have the same name.
    name = out.name if local else f"{zlib.crc32(os.fsencode(str(out))):08x}.{out.name}"
    partial = folder / f".{name}.{key}.partial"
    kind = ZipWriter if out.suffix.lower() == ".zip" else FolderWriter
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.glob(f".{glob.escape(name)}.*.partial"):
            if other != partial:
                with locks.Lock(other) as lock:
                    if lock.is_held:  # else it may be another's work
                        _remove(other)
        return kind(partial, out)
    except BlockingIOError as error:
        raise ValueError(f"another process is writing {out}: wait for it") from error
    except OSError as error:
        raise ValueError(f"{out} cannot be written: {error}") from error


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Writer:
    """An archive that is being written; `names` are the images in it."""

    names: set[str]

    def __init__(self, partial: pathlib.Path, out: epath.Path):
        self._partial, self._out = partial, out
        self._place = partial if paths.is_remote(out) else out  # that errors name
        self._lock = locks.Lock(partial)

    def leave(self) -> None:
        """Stop here; opening the archive again resumes."""
        self._lock.close()

    def discard(self) -> None:
        self.leave()
        _remove(self._partial)


class ZipWriter(_Writer):
    """A zip that is being written."""

    def __init__(self, partial: pathlib.Path, out: epath.Path):
        partial.touch()
        super().__init__(partial, out)
        self._file = partial.open("r+b")
        members = list(_whole_members(self._file))
        self._file.truncate()
        self._zip = zipfile.ZipFile(self._file, "w")
        self._zip.filelist.extend(members)
        self._zip.NameToInfo.update({member.filename: member for member in members})
        self.names = {member.filename for member in members}

    def add(self, name: str, content: bytes) -> None:
        with errors.accessing(self._place):
            add(self._zip, name, content)
        self.names.add(name)

    def finish(self, table: dict) -> None:
        """Add dataset.json, the table, and move the zip to its place."""
        with errors.accessing(self._place):
            add(self._zip, "dataset.json", json.dumps(table).encode())
            self._zip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
        if paths.is_remote(self._out):
            _upload(self._partial, self._out)
            self._partial.unlink()
        else:
            os.replace(self._partial, self._out)
        self._file.close()
        self._lock.close()

    def leave(self) -> None:
        self._zip.fp = None  # or it would write a directory, to be truncated again
        with contextlib.suppress(OSError):  # of what is left to write, on a full disk
            self._file.close()
        super().leave()


def _whole_members(file: io.BufferedRandom) -> Iterator[zipfile.ZipInfo]:
    """The images of a zip that was cut off anywhere; seeks to the end of the last."""
    while True:
        start = file.tell()
        head = file.read(HEADER.size)
        fields = HEADER.unpack(head) if len(head) == HEADER.size else [b""] * 11
        signature, _, _, _, _, _, checksum, size, _, length, extra = fields
        name = file.read(length) if signature == zipfile.stringFileHeader else b""
        info = _info(name.decode("ascii", "replace"))
        if not IMAGE_NAME.fullmatch(info.filename) or extra:
            break
        content = file.read(size)
        # A head is written without size and checksum, which follow the content.
        if not size or len(content) < size or zlib.crc32(content) != checksum:
            break
        info.header_offset, info.CRC = start, checksum
        info.compress_size = info.file_size = size
        yield info
    file.seek(start)


class FolderWriter(_Writer):
    """A folder that is being written."""

    def __init__(self, partial: pathlib.Path, out: epath.Path):
        partial.mkdir(exist_ok=True)
        super().__init__(partial, out)
        for unfinished in partial.rglob("*.part"):
            unfinished.unlink()
        found = partial.rglob("*.png")
        self.names = {file.relative_to(partial).as_posix() for file in found}

    def add(self, name: str, content: bytes) -> None:
        self._put(name, content)
        self.names.add(name)

    def _put(self, name: str, content: bytes) -> None:
        path = self._partial / name
        unfinished = path.with_suffix(".part")
        with errors.accessing(self._place):
            path.parent.mkdir(exist_ok=True)
            unfinished.write_bytes(content)
            os.replace(unfinished, path)

    def finish(self, table: dict) -> None:
        """Add dataset.json, the table with a seal, and move the folder to its place."""
        self._put("dataset.json", json.dumps(json_files.seal(table)).encode())
        if paths.is_remote(self._out):
            _upload_all(self._partial, self._out)
            _remove(self._partial)
        else:
            os.replace(self._partial, self._out)  # also over an empty folder
        self._lock.close()


def _upload(source: pathlib.Path, target: epath.Path) -> None:
    try:
        with source.open("rb") as file, target.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
    except BaseException:
        target.unlink(missing_ok=True)  # closing it may have stored a part
        raise


def _upload_all(source: pathlib.Path, target: epath.Path) -> None:
    """Uploads the images and then dataset.json; on failure removes them."""
    images = sorted(source.glob("*/*.png"))
    names = [image.relative_to(source).as_posix() for image in images]
    try:
        with concurrent.futures.ThreadPoolExecutor(UPLOADS) as pool:
            list(pool.map(lambda name: _upload(source / name, target / name), names))
        _upload(source / "dataset.json", target / "dataset.json")
    except BaseException:
        target.rmtree(missing_ok=True)
        raise
