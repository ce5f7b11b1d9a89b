"""The published layout of archives, and archives that grow and survive being killed.

Image i is `<first 5 digits>/img<8 digits of i>.png`, a PNG without compression; a zip
stores its members as they are, with a fixed date: equal input gives equal bytes.

An archive that is being written to OUT lies beside it as .OUT.KEY.partial (a zip
without its directory, or a folder); for an OUT in a bucket it lies in the system's
folder for temporary files. KEY stands for all that decides the content, so whoever
opens the same OUT and KEY again goes on behind the last whole image; partial archives
of other keys are removed. OUT itself appears when it is complete.
"""

import concurrent.futures
import fcntl
import glob
import io
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
    """Raise ValueError if something is at `out`; an empty folder is nothing."""
    taken = any(out.iterdir()) if out.is_dir() else out.exists()
    if taken:
        raise ValueError(f"{out} exists: remove it, or choose another name")


def open_writer(out: epath.Path, key: str) -> "ZipWriter | FolderWriter":
    """A writer of a zip if `out` ends so, else of a folder, with what is there already.

    Raises ValueError if `out` cannot be written or another process is writing it.
    """
    local = not paths.is_remote(out)
    home = pathlib.Path(out.parent if local else tempfile.gettempdir())
    # In the folder for temporary files there may be others of the same name.
    whose = out.name if local else f"{zlib.crc32(str(out).encode()):08x}.{out.name}"
    partial = home / f".{whose}.{key}.partial"
    kind = ZipWriter if out.suffix.lower() == ".zip" else FolderWriter
    try:
        home.mkdir(parents=True, exist_ok=True)
        _remove_others(partial, whose)
        return kind(partial, out)
    except BlockingIOError as error:
        raise ValueError(f"another process is writing {out}: wait for it") from error
    except OSError as error:
        raise ValueError(f"{out} cannot be written: {error}") from error


def _remove_others(partial: pathlib.Path, name: str) -> None:
    for other in partial.parent.glob(f".{glob.escape(name)}.*.partial"):
        if other != partial:
            with _Lock(other):
                _remove(other)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Lock:
    """Holds a file or folder against other processes until it is closed."""

    def __init__(self, path: pathlib.Path):
        self._descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ZipWriter:
    """A zip that grows; `names` are the images in it."""

    def __init__(self, partial: pathlib.Path, out: epath.Path):
        self._partial, self._out = partial, out
        partial.touch()
        self._lock = _Lock(partial)
        self._file = partial.open("r+b")
        members = list(_whole_members(self._file))
        self._file.truncate()
        self._zip = zipfile.ZipFile(self._file, "w")
        self._zip.filelist.extend(members)
        self._zip.NameToInfo.update({member.filename: member for member in members})
        self.names = {member.filename for member in members}

    def add(self, name: str, content: bytes) -> None:
        add(self._zip, name, content)
        self.names.add(name)

    def finish(self, table: bytes) -> None:
        """Add dataset.json and put the zip in its place."""
        add(self._zip, "dataset.json", table)
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        if paths.is_remote(self._out):
            _upload(self._partial, self._out)
            self._partial.unlink()
        else:
            os.replace(self._partial, self._out)
        self._shut()

    def leave(self) -> None:
        """Stop here, for whoever goes on."""
        self._file.flush()
        self._zip.fp = None  # no directory: it would only be cut off again
        self._shut()

    def discard(self) -> None:
        self.leave()
        _remove(self._partial)

    def _shut(self) -> None:
        self._file.close()
        self._lock.close()


def _whole_members(file: io.BufferedRandom) -> Iterator[zipfile.ZipInfo]:
    """The images in a zip that was cut off anywhere; `file` is left behind the last."""
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
        if len(content) < size or zlib.crc32(content) != checksum:
            break
        info.header_offset, info.CRC = start, checksum
        info.compress_size = info.file_size = size
        yield info
    file.seek(start)


class FolderWriter:
    """A folder that grows; `names` are the images in it."""

    def __init__(self, partial: pathlib.Path, out: epath.Path):
        self._partial, self._out = partial, out
        partial.mkdir(exist_ok=True)
        self._lock = _Lock(partial)
        for piece in partial.rglob("*.part"):
            piece.unlink()
        found = partial.rglob("*.png")
        self.names = {file.relative_to(partial).as_posix() for file in found}

    def add(self, name: str, content: bytes) -> None:
        self._put(name, content)
        self.names.add(name)

    def _put(self, name: str, content: bytes) -> None:
        path = self._partial / name
        path.parent.mkdir(exist_ok=True)
        piece = path.with_suffix(".part")
        piece.write_bytes(content)
        os.replace(piece, path)

    def finish(self, table: bytes) -> None:
        """Add dataset.json and put the folder in its place."""
        self._put("dataset.json", table)
        if paths.is_remote(self._out):
            _upload_all(self._partial, self._out)
            _remove(self._partial)
        else:
            os.replace(self._partial, self._out)  # also over an empty folder
        self._lock.close()

    def leave(self) -> None:
        """Stop here, for whoever goes on."""
        self._lock.close()

    def discard(self) -> None:
        self.leave()
        _remove(self._partial)


def _upload(source: pathlib.Path, target: epath.Path) -> None:
    try:
        with source.open("rb") as file, target.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
    except BaseException:
        target.unlink(missing_ok=True)  # else closing it has stored a part
        raise


def _upload_all(source: pathlib.Path, target: epath.Path) -> None:
    """The images, and then dataset.json; nothing of them if that fails."""
    images = sorted(source.glob("*/*.png"))
    names = [image.relative_to(source).as_posix() for image in images]
    try:
        with concurrent.futures.ThreadPoolExecutor(UPLOADS) as pool:
            list(pool.map(lambda name: _upload(source / name, target / name), names))
        _upload(source / "dataset.json", target / "dataset.json")
    except BaseException:
        target.rmtree(missing_ok=True)
        raise
