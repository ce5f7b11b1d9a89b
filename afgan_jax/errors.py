"""Errors in one line: those that name a setting, and those of files and disks."""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

# What helps where nothing can be written, by the error's number.
REMEDIES = {
    errno.ENOSPC: "free some space there, or name another place",
    errno.EDQUOT: "free some of your quota there, or name another place",
    errno.EFBIG: "raise the limit on the size of files, or name another place",
    errno.EROFS: "name a place that is not read-only",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
}

# What XLA's errors begin with when a process it computes with is gone.
_OF_PEERS = re.compile(
    "(UNKNOWN|INTERNAL|UNAVAILABLE|CANCELLED|ABORTED|DEADLINE_EXCEEDED"
    "|FAILED_PRECONDITION): "
)


class Stopped(Exception):
    """Work that had begun and ended too early; one sentence with what to do.

    Unlike bad input, doing the same again may help.
    """


class SettingError(ValueError):
    """`name`=`value`, and `why` it cannot be: one sentence that ends with the fix.

    name is an argument of a function of the library, such as "samples", or a setting of
    a config, such as "losses.r1_gamma". The command line says which flag that is.
    """

    def __init__(self, name: str, value: Any, why: str):
        super().__init__(name, value, why)
        self.name, self.value, self.why = name, value, why

    def __str__(self) -> str:
        return f"{self.name}={self.value!r} {self.why}"


def check_known(name: str, value: Any, known: Iterable[str]) -> None:
    """Raises SettingError unless the value is one of those known."""
    if value not in tuple(known):
        raise SettingError(name, value, f"is unknown: use one of {', '.join(known)}")


@contextlib.contextmanager
def naming(section: str) -> Iterator[None]:
    """Puts "section." before the setting that an error names, or begins with."""
    try:
        yield
    except SettingError as error:
        name = f"{section}.{error.name}"
        raise SettingError(name, error.value, error.why) from error
    except ValueError as error:
        key, equals, _ = str(error).partition("=")
        if not (equals and key.isidentifier()):
            raise
        raise ValueError(f"{section}.{error}") from error


@contextlib.contextmanager
def accessing(path: str | os.PathLike) -> Iterator[None]:
    """Makes an OSError of the block, which uses no other file than `path`, name it.

    The system names a temporary file, or none at all for a file that is open.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def in_one_line(error: BaseException) -> str:
    """What is wrong; for an OSError the path, the reason and what helps."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        text = error.strerror
        if error.filename is not None:
            text = f"{os.fsdecode(error.filename)}: {text}"
        if error.errno in REMEDIES and error.strerror == os.strerror(error.errno):
            text = f"{text}: {REMEDIES[error.errno]}"
    return " ".join(text.split()) or type(error).__name__


def may_be_of_peers(error: BaseException | None) -> bool:
    """Whether an error can come from the loss of another process of a job."""
    while error is not None and not _OF_PEERS.search(str(error)):
        error = error.__cause__ or error.__context__
    return error is not None
