"""Reading again after errors that pass, as network disks have them."""

import contextlib
import errno
import io
import logging
import re
import time
from collections.abc import Callable
from typing import TypeVar

PAUSES = (0.1, 1.0, 5.0, 20.0)  # seconds, before each new attempt
PASSING = {
    getattr(errno, name)
    for name in "EIO EREMOTEIO ESTALE ETIMEDOUT EAGAIN EBUSY EMFILE ENFILE"
    " ENETDOWN ENETUNREACH ENETRESET EHOSTDOWN EHOSTUNREACH ECONNRESET ECONNABORTED"
    " ECONNREFUSED ENOTCONN ESHUTDOWN EPROTO".split()
    if hasattr(errno, name)
}
_log = logging.getLogger(__name__)
T = TypeVar("T")


def patiently(
    what: str, action: Callable[[], T], renew: Callable[[], None] = lambda: None
) -> T:
    """action(), again after errors that may pass; one that lasts is raised in the end.

    renew() is called before each new attempt.
    """
    for pause in (*PAUSES, None):
        try:
            return action()
        except Exception as error:
            if pause is None or not _may_pass(error):
                raise
            reason = getattr(error, "strerror", None) or type(error).__name__
        _log.warning("%s: %s; reading it again in %g s", what, reason, pause)
        time.sleep(pause)
        renew()


def _may_pass(error: Exception) -> bool:
    """Whether it is an error of the system in PASSING, also one told by TensorStore."""
    told = re.findall(r"os_error_code='(\d+)'", str(error))
    return bool(PASSING & {getattr(error, "errno", None), *map(int, told)})


def open_patiently(
    name: str, open_file: Callable[[], io.IOBase], renew: Callable[[], None]
) -> io.BufferedReader:
    """The file that open_file() opens; after an error that may pass it is opened anew.

    renew() is called before that. An error that lasts is raised in the end.
    """
    return io.BufferedReader(_Patient(name, open_file, renew))


class _Patient(io.RawIOBase):
    def __init__(self, name, open_file, renew):
        self._name, self._open_file, self._renew = name, open_file, renew
        self._file, self._position = None, 0
        self._attempt(lambda file: None)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = self._attempt(lambda file: file.seek(offset, whence))
        return self._position

    def readall(self) -> bytes:
        return self._advance(self._attempt(lambda file: file.read()))

    def readinto(self, buffer) -> int:
        content = self._advance(self._attempt(lambda file: file.read(len(buffer))))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        file, self._file = self._file, None
        super().close()
        if file is not None:
            file.close()

    def _advance(self, content: bytes) -> bytes:
        self._position += len(content)
        return content

    def _attempt(self, action: Callable[[io.IOBase], T]) -> T:
        def attempt() -> T:
            if self._file is None:
                self._file = self._open_file()
                if self._position:
                    self._file.seek(self._position)
            return action(self._file)

        return patiently(self._name, attempt, self._begin_anew)

    def _begin_anew(self) -> None:
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            if file is not None:
                file.close()
            self._renew()
