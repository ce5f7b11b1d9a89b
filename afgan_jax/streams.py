"""Standard output and error that outlive their readers.

What is written to a pipe without a reader, or to a terminal that is gone, is dropped:
neither may end work whose results are files. Nor may a text that cannot be encoded:
names of files are written as the bytes they are.
"""

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import TextIO

NAMES = {1: "standard output", 2: "standard error"}
BYTES_OF_NAMES = range(0xDC80, 0xDD00)  # bytes in Python's texts; see os.fsdecode


def secure() -> None:
    """Replaces sys.stdout and sys.stderr, and opens what the caller closed.

    Else the next file that is opened would get its number, and all that libraries
    print.
    """
    for descriptor in (0, *NAMES):
        try:
            os.fstat(descriptor)
        except OSError:
            _discard(descriptor)
    sys.stdout, sys.stderr = _opened(1, sys.stdout), _opened(2, sys.stderr)


def finish() -> None:
    """Writes what waits; raises OSError if standard output cannot take it."""
    with contextlib.suppress(OSError):
        _flush(2, sys.stderr)
    _flush(1, sys.stdout)


def _flush(descriptor: int, stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        _discard(descriptor)  # or the interpreter tries again as it ends
        raise


class _Outlet(io.FileIO):
    """An open descriptor, written to for as long as there is a reader."""

    def __init__(self, descriptor: int):
        super().__init__(descriptor, "w", closefd=False)
        self._of_lost_reader = {errno.EPIPE} | ({errno.EIO} if self.isatty() else set())

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno in self._of_lost_reader:
                return len(data)
            name = NAMES[self.fileno()]
            raise OSError(error.errno, error.strerror, name) from None


def _opened(descriptor: int, old: io.TextIOWrapper | None) -> TextIO:
    """A stream that buffers as the old one does, and can encode any text."""
    if old is None:
        return open(os.devnull, "w")
    outlet = _Outlet(descriptor)
    return io.TextIOWrapper(
        outlet if old.write_through else io.BufferedWriter(outlet),
        encoding=old.encoding,
        errors=ESCAPING,
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )


def _discard(descriptor: int) -> None:
    """Makes what is written there go nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _escaped(error: UnicodeEncodeError) -> tuple[bytes, int]:
    """The bytes in a name as they are, and escapes for what the encoding lacks."""
    content = [
        bytes([ord(char) - 0xDC00])
        if ord(char) in BYTES_OF_NAMES
        else char.encode("ascii", "backslashreplace")
        for char in error.object[error.start : error.end]
    ]
    return b"".join(content), error.end


ESCAPING = "afgan_jax.escaping"
codecs.register_error(ESCAPING, _escaped)
