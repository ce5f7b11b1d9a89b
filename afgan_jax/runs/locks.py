"""A lock on a folder, which one training process holds at a time."""

import fcntl
from pathlib import Path


def take(path: Path):
    """An open file that locks the folder until it is closed; None if it is locked.

    The system releases the lock when the process ends.
    """
    file = open(path / ".lock", "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
