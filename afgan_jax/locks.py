"""Locks on what one process at a time may write."""

import fcntl
import logging
import os

_log = logging.getLogger(__name__)


class Lock:
    """A lock on a file, made if there is none, or on a folder, until it is closed.

    The system closes it when the process ends. Not every file system has locks: without
    one, `is_held` is false and a warning is logged. Raises BlockingIOError if another
    process holds it.
    """

    def __init__(self, path: str | os.PathLike):
        self.is_held = False
        self._descriptor: int | None = None
        flags = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR | os.O_CREAT
        try:
            self._descriptor = os.open(path, flags, 0o666)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_held = True
        except BlockingIOError:
            self.close()
            raise
        except OSError as error:
            _log.warning(
                "%s cannot be locked (%s): see that no other process writes there",
                path,
                error.strerror,
            )

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor, self.is_held = None, False

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_) -> None:
        self.close()
