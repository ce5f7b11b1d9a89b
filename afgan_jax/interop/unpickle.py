"""Pickles, read without running the code that they name.

A pickle is a program that may call any function of any module by name. Here names are
looked up in a table only, and others refused. Functions in the table can be called but
not altered.
"""

import contextlib
import io
import os
import pathlib
import pickle
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
Names = Mapping[str, Any]  # "module.name" -> a function, a dict type, or plain data


@contextlib.contextmanager
def opened(path: str | os.PathLike, kind: str) -> Iterator[io.BufferedReader]:
    """The open file; ValueError, that it is not `kind`, if reading it fails."""
    with open(path, "rb") as file:
        try:
            yield file
        except MALFORMED as error:
            name = pathlib.Path(path).name
            raise ValueError(f"{name} is not {kind}: {error}") from error


def load(
    file: io.IOBase, names: Names, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """The next object of the file, with names looked up in `names`.

    `persistent` maps persistent ids to objects that the file stores outside the pickle.
    Raises pickle.UnpicklingError for any other name, and one of MALFORMED if the pickle
    is damaged.
    """
    return _Reader(file, names, persistent).load()


class _Reader(pickle.Unpickler):
    def __init__(self, file, names: Names, persistent):
        super().__init__(file)
        self._names, self._persistent = names, persistent

    def find_class(self, module: str, name: str) -> Any:
        meaning = self._names.get(f"{module}.{name}")
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
