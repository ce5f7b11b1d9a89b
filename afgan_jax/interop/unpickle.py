"""Pickles, read without running the code that they name.

A pickle is a program that may call any function of any module by name. Here names are
looked up in a table only, and others refused. Functions in the table can be called but
not altered. Before that the opcodes are read: numbers in them, for which the unpickler
would reserve memory, must be those of a pickle of this length.

A pickle has no checksum. FILE.sha256 beside it, as sha256sum writes it, is compared.
"""

import contextlib
import hashlib
import io
import os
import pathlib
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# What pickle, zipfile, struct and reshaping raise for damaged or malicious bytes.
MALFORMED = (
    pickle.UnpicklingError,
    struct.error,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
TENSORFLOW = (
    "it is one of the TensorFlow program: the PyTorch program converts it, by its"
    " script legacy.py"
)
MEMO = ("PUT", "BINPUT", "LONG_BINPUT")
Names = Mapping[str, Any]  # "module.name" -> a function, a dict type, or plain data


@contextlib.contextmanager
def opened(path: str | os.PathLike, kind: str) -> Iterator[io.BufferedReader]:
    """The open file; ValueError, that it is not `kind`, if reading it fails.

    Also if the file FILE.sha256 says that its content is another.
    """
    with open(path, "rb") as file:
        try:
            _check_digest(file, pathlib.Path(f"{path}.sha256"))
            yield file
        except MALFORMED as error:
            name = pathlib.Path(path).name
            raise ValueError(f"{name} is not {kind}: {error}") from error


def _check_digest(file: io.BufferedReader, beside: pathlib.Path) -> None:
    if not beside.is_file():
        return
    expected = beside.read_text(errors="replace").split()[:1]
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    if [found] != expected:
        raise ValueError(f"its sha256 is {found}, which is not that in {beside.name}")


def load(
    file: io.IOBase,
    names: Names,
    persistent: Callable[[Any], Any] | None = None,
    *,
    encoding: str = "ASCII",
) -> Any:
    """The next object of the file, with names looked up in `names`.

    `persistent` maps persistent ids to objects that the file stores outside the pickle.
    encoding: of the text in pickles of Python 2, "bytes" to leave it as it is.
    Raises pickle.UnpicklingError for any other name, and one of MALFORMED if the pickle
    is damaged.
    """
    start = file.tell()
    _check_opcodes(file)
    file.seek(start)
    return _Reader(file, names, persistent, encoding).load()


def _check_opcodes(file: io.IOBase) -> None:
    """Raises UnpicklingError for a memo with gaps, which would be one huge table."""
    count = 0
    for opcode, number, _ in pickletools.genops(file):
        count += 1
        if opcode.name in MEMO and number > count:
            raise pickle.UnpicklingError(f"its object {number} is none of {count}")


class _Reader(pickle.Unpickler):
    def __init__(self, file, names: Names, persistent, encoding: str):
        super().__init__(file, encoding=encoding)
        self._names, self._persistent = names, persistent

    def find_class(self, module: str, name: str) -> Any:
        meaning = self._names.get(f"{module}.{name}")
        if meaning is None and module.startswith("dnnlib.tflib"):
            raise pickle.UnpicklingError(TENSORFLOW)
        if meaning is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        is_dict = isinstance(meaning, type) and issubclass(meaning, dict)
        return _Call(meaning) if callable(meaning) and not is_dict else meaning

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise pickle.UnpicklingError("it refers to objects outside")
        return self._persistent(pid)


class _Call:
    """A function that a pickle may call but whose attributes it cannot set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *args):
        return self._function(*args)

    def __setstate__(self, state):
        raise pickle.UnpicklingError("it alters a function")
