"""Ending this process at once, when other processes or its own steps stand still."""

import contextlib
import os
import threading

CODE = 134  # exit code of a process that ends because another has, or because it hangs


def abort(line: str) -> None:
    """Ends this process, which must not wait for anything, with one line and CODE."""
    late = threading.Timer(5, os._exit, [CODE])
    late.start()  # in case nobody reads the line
    with contextlib.suppress(OSError):
        start = "\n" if os.isatty(2) else ""  # there may be a progress bar
        os.write(2, f"{start}{line}\n".encode())
    os._exit(CODE)
