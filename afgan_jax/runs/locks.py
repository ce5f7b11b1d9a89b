"""One trainer at a time in a folder."""

import fcntl
from pathlib import Path


def take(path: Path):
    """Returns an open file that one process can hold for the folder at a time.

    None if another holds it. The system lets go of it when its process ends.
    """
    file = open(path / ".lock", "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
