"""Ending a training whose steps stand still.

A process that lives but waits for ever, for data, a device or another process, would
keep all machines of a job: no time limit of JAX ends it.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import jax

from afgan_jax.training import abort

COMPILING = 4  # times as long may the first steps take


class Watchdog:
    """Ends this process when no step has ended for `minutes`; 0: never.

    The first `compiling` steps, which wait for the compiler, have COMPILING times as
    long. While this process is stopped (Ctrl-Z) or its machine asleep, no time passes.
    """

    def __init__(self, minutes: float, compiling: int = 1):
        self._limit = 60 * minutes
        self._compiling = compiling
        self._silent = 0.0  # seconds
        self._is_paused = False
        self._closed = threading.Event()
        if minutes:
            threading.Thread(target=self._run, daemon=True).start()

    def end_step(self) -> None:
        """A step has ended."""
        self._silent = 0.0
        self._compiling -= 1

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes no time for a stall in the block."""
        self._is_paused = True
        try:
            yield
        finally:
            self._silent, self._is_paused = 0.0, False

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(self, *_) -> None:
        self._closed.set()

    def _run(self) -> None:
        interval = min(1.0, self._limit / 10)
        while not self._closed.wait(interval):
            if not self._is_paused:
                self._silent += interval
            limit = self._limit * (COMPILING if self._compiling > 0 else 1)
            if self._silent >= limit:
                index, count = jax.process_index(), jax.process_count()
                pid, host = os.getpid(), socket.gethostname()
                abort.abort(
                    f"no step has ended for {limit / 60:g} minutes: process"
                    f" {index} of {count} (pid {pid} on {host}) ends; run the same"
                    " command to go on from the last checkpoint. Its threads were at:",
                    stacks=True,
                )
