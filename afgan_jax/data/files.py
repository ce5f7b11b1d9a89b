"""The files of a folder or a zip, local or in a bucket, and images read from them.

Names are as in `listing`. Modes are PIL's (L, RGB, P, ...), followed by ";16" for files
of 16 bits a channel, of which PIL silently drops the lower 8.
"""

import contextlib
import io
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from etils import epath

from afgan_jax import patience
from afgan_jax.data import formats
from afgan_jax.data.listing import of_folder, of_zip

SMALL, RATIO = 2**28, 100  # bytes, and times, beyond which a zip's member is a bomb


class BrokenImage(ValueError):
    """An image that cannot be read; the text names it and the reason."""

    def __init__(self, path: object, name: str, reason: str):
        text = f"{path}: {name} cannot be read ({reason}): replace or remove it"
        super().__init__(text)
        self.reason = reason


class Files:
    """The files of a zip or a folder, by name; each thread has its own zip handle."""

    def __init__(self, path: epath.Path):
        self.path = path
        self._is_folder = path.is_dir()
        self._local = threading.local()
        if self._is_folder:
            self.listing = of_folder(path)
        elif path.exists():
            self.listing, self._members = of_zip(self._zip())
        else:
            raise ValueError(f"{path} does not exist: give a zip or a folder of images")
        self.names = sorted(self.listing.names)

    def __reduce__(self):
        return Files, (self.path,)

    def open(self, name: str) -> io.BufferedReader:
        """The file, read again after errors that pass (see `patience`)."""
        where = f"{self.path}: {name}"
        return patience.open_patiently(where, lambda: self._open(name), self._renew)

    def _open(self, name: str) -> io.IOBase:
        if name in self.listing.broken:
            target = self.listing.broken[name]
            raise FileNotFoundError(f"it is a link to {target}, which is not there")
        if self._is_folder:
            return (self.path / name).open("rb")
        member = self._zip().getinfo(self._members[name])
        if member.file_size > max(SMALL, RATIO * member.compress_size):
            size = f"{member.file_size / 1e9:z.1f} GB"
            raise ValueError(
                f"it would unpack to {size}, more than {RATIO} times as much"
            )
        return self._zip().open(member)

    def read(self, name: str) -> bytes:
        """The content; BrokenImage if it cannot be read."""
        with naming(self.path, name), self.open(name) as file:
            return file.read()

    def head(self, name: str) -> bytes:
        """The first formats.HEAD bytes; BrokenImage if they cannot be read."""
        with naming(self.path, name), self.open(name) as file:
            return file.read(formats.HEAD)

    def _zip(self) -> zipfile.ZipFile:
        if not hasattr(self._local, "zip"):
            file = self.path.open("rb")
            try:
                self._local.zip = zipfile.ZipFile(file)
            except Exception as error:  # damaged zips raise errors of a dozen types
                file.close()
                cause = error if isinstance(error, OSError) else error.__context__
                if isinstance(cause, OSError):
                    raise cause from None
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
        info = self._zip().getinfo(self._members[name])
        return info.file_size, info.CRC

    @property
    def images(self) -> tuple[str, ...]:
        """The names of images, by their suffixes."""
        suffixes = formats.readable().suffixes
        return tuple(n for n in self.names if n.lower().endswith(suffixes))

    def read_header(self, name: str) -> tuple[tuple[int, int], str]:
        """((width, height), mode), without decoding."""
        with naming(self.path, name), self.open(name) as file:
            with formats.open_image(file) as image:
                return image.size, formats.mode_of(image)

    def read_image(self, name: str) -> tuple[tuple[int, int], str, np.ndarray]:
        """((width, height), mode, pixels)."""
        with naming(self.path, name), self.open(name) as file:
            # Reads all, so that zipfile compares the checksum.
            content = io.BytesIO(file.read())
            with formats.open_image(content) as image:
                return image.size, formats.mode_of(image), np.array(image)


@contextlib.contextmanager
def naming(path: object, name: str) -> Iterator[None]:
    """Raises BrokenImage for any error of reading the image `name` of `path`.

    But OSError, which names it, for one of the disk, which says nothing of the image.
    """
    try:
        yield
    except Exception as error:  # damaged files raise errors of a dozen types
        if isinstance(error, OSError) and error.errno in patience.PASSING:
            raise OSError(error.errno, error.strerror, f"{path}: {name}") from error
        raise BrokenImage(path, name, _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    told = isinstance(error, OSError | ValueError) and text
    return text if told else f"{type(error).__name__}: {text}"


def attempt(function: Callable, *args) -> Any:
    """function(*args), or the BrokenImage that it raises."""
    try:
        return function(*args)
    except BrokenImage as error:
        return error


def _close(*handles) -> None:
    for handle in handles:
        handle.close()
