"""The files of a folder or a zip, local or in a bucket, and images read from them.

Names are paths below the folder or in the zip, with "/" on every system. Images are
PNG, JPEG or WebP; modes are PIL's (L, RGB, P, ...), followed by ";16" for PNGs of 16
bits a channel, of which PIL silently drops the lower 8.
"""

import contextlib
import io
import pathlib
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from etils import epath
from PIL import Image

from afgan_jax.data import paths, patience

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")


class BrokenImage(ValueError):
    """An image that cannot be read; the text names it and the reason."""


class Files:
    """The files of a zip or a folder, by name; each thread has its own zip handle."""

    def __init__(self, path: epath.Path):
        self.path = path
        self._is_folder = path.is_dir()
        self._local = threading.local()
        if self._is_folder:
            names = _below(path)
        elif path.exists():
            names = self._zip().namelist()
        else:
            raise ValueError(f"{path} does not exist: give a zip or a folder of images")
        self.names = sorted(names)

    def __reduce__(self):
        return Files, (self.path,)

    def open(self, name: str) -> io.BufferedReader:
        """The file, read again after errors that pass (see `patience`)."""
        where = f"{self.path}: {name}"
        return patience.open_patiently(where, lambda: self._open(name), self._renew)

    def _open(self, name: str) -> io.IOBase:
        if self._is_folder:
            return (self.path / name).open("rb")
        return self._zip().open(name)

    def _zip(self) -> zipfile.ZipFile:
        if not hasattr(self._local, "zip"):
            file = self.path.open("rb")
            try:
                self._local.zip = zipfile.ZipFile(file)
            except zipfile.BadZipFile as error:
                file.close()
                if isinstance(error.__context__, OSError):  # of reading its directory
                    raise error.__context__ from None
                raise ValueError(
                    f"{self.path} is neither a folder nor a readable zip: {error}"
                ) from error
            # The garbage collector might free the file first, with a ResourceWarning.
            close = weakref.finalize(self, _close, self._local.zip, file)
            self._local.close = close
        return self._local.zip

    def _renew(self) -> None:
        """Lets this thread open the zip anew."""
        if hasattr(self._local, "zip"):
            del self._local.zip
            self._local.close()

    def checksum(self, name: str) -> tuple[int, int]:
        """(size, CRC-32) of a file; a zip keeps them in its directory."""
        if self._is_folder:
            with self.open(name) as file:
                content = file.read()
            return len(content), zlib.crc32(content)
        info = self._zip().getinfo(name)
        return info.file_size, info.CRC

    @property
    def images(self) -> tuple[str, ...]:
        """The names of images."""
        return self.with_suffix(SUFFIXES)

    def with_suffix(self, suffixes: tuple[str, ...]) -> tuple[str, ...]:
        """The names that end in one of these, without hidden files."""
        return tuple(
            name
            for name in self.names
            if name.lower().endswith(suffixes)
            and not name.rpartition("/")[2].startswith(".")
        )

    def read_header(self, name: str) -> tuple[tuple[int, int], str]:
        """((width, height), mode), without decoding."""
        with naming(self.path, name), self.open(name) as file:
            with Image.open(file, formats=FORMATS) as image:
                return image.size, mode_of(image)

    def read_image(self, name: str) -> tuple[tuple[int, int], str, np.ndarray]:
        """((width, height), mode, pixels)."""
        with naming(self.path, name), self.open(name) as file:
            # Reads all, so that zipfile compares the checksum.
            content = io.BytesIO(file.read())
            with Image.open(content, formats=FORMATS) as image:
                return image.size, mode_of(image), np.array(image)


@contextlib.contextmanager
def naming(path: object, name: str) -> Iterator[None]:
    """Raises BrokenImage for any error of reading the image `name` of `path`."""
    try:
        yield
    except Exception as error:  # damaged files raise errors of a dozen types
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BrokenImage(
            f"{path}: {name} cannot be read ({reason}): replace or remove it"
        ) from error


def attempt(function: Callable, *args) -> Any:
    """function(*args), or the text of the BrokenImage that it raises."""
    try:
        return function(*args)
    except BrokenImage as error:
        return str(error)


def _below(folder: epath.Path) -> list[str]:
    # Walking gs://BUCKET gives names without the scheme.
    top = pathlib.PurePath(paths.without_scheme(folder))
    found = []
    for root, _, files in folder.walk():
        below = pathlib.PurePath(paths.without_scheme(root)).relative_to(top)
        found += [(below / file).as_posix() for file in files]
    return found


def _close(*handles) -> None:
    for handle in handles:
        handle.close()


def mode_of(image: Image.Image) -> str:
    """PIL's mode, followed by ";16" if the file has 16 bits a channel."""
    coded = str(image.tile)  # as in [("zip", (0, 0, 8, 8), 41, "RGB;16B")]
    deep = image.mode in ("L", "RGB") and ";16" in coded
    return f"{image.mode};16" if deep else image.mode
