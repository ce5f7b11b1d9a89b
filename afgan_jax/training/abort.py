"""Ending this process at once, when other processes or its own steps stand still."""

import contextlib
import faulthandler
import os
import threading
import time

from afgan_jax import places

CODE = 134  # exit code of a process that ends because another has, or because it hangs
READING = 5.0  # seconds for somebody to read why
LINGER = 3.0  # seconds for the others of a job to tell their stacks too


def abort(line: str, *, stacks: bool = False) -> None:
    """Ends this process, which must not wait for anything, with one line and CODE.

    stacks: tell where each thread is, below the line.
    """
    late = threading.Timer(READING, places.exit_at_once, [CODE])
    late.start()
    with contextlib.suppress(OSError):
        start = "\n" if os.isatty(2) else ""  # there may be a progress bar
        os.write(2, f"{start}{line}\n".encode())
    if stacks:
        faulthandler.dump_traceback(2)
        time.sleep(LINGER)
    places.exit_at_once(CODE)
