"""A run watched while it is trained, in this process or another."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from afgan_jax.runs import history


@contextlib.contextmanager
def following(
    run: str | Path, told: Callable[[history.History], None], seconds: float = 10.0
) -> Iterator[None]:
    """Calls told(history) from a thread when the run has new statistics or pictures.

    And always when the block has ended. What `told` raises ends nothing: it is said
    in a line, once.
    """
    ended, seen, complaints = threading.Event(), [], set()

    def look(always: bool = False) -> None:
        try:
            found = history.of(run)
        except (ValueError, OSError):
            return  # it has not begun
        state = len(found.stats), len(found.pictures)
        if state in seen[-1:] and not always:
            return
        seen.append(state)
        try:
            told(found)
        except Exception as error:
            line = f"WARNING: {type(error).__name__}: {error}"
            if line not in complaints:
                complaints.add(line)
                print(line, file=sys.stderr)

    def watch() -> None:
        while not ended.wait(seconds):
            look()

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
        look(always=True)
