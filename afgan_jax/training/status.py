"""A small file that tells the supervisor of a process how its training stands."""

import dataclasses
import os
import socket
import time
from pathlib import Path

import jax

from afgan_jax import errors, places
from afgan_jax.runs import atomic

STATES = "starting", "training", "stopped", "finished"


@dataclasses.dataclass(frozen=True)
class Status:
    """Writes `file`, on this machine; None: nothing.

    It holds a JSON object: "process", "processes", "host", "pid"; "state", one of
    STATES; "checkpoint", the newest step that is completely saved, or null; "nimg", how
    many images were trained on, or null; "updated", in seconds since 1970.
    """

    file: Path | None = None

    def write(
        self, state: str, checkpoint: int | None = None, nimg: int | None = None
    ) -> None:
        """Writes the file atomically; a failure is told once, and ends nothing."""
        assert state in STATES, state
        if self.file is None:
            return
        content = {
            "process": jax.process_index(),
            "processes": jax.process_count(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "state": state,
            "checkpoint": checkpoint,
            "nimg": nimg,
            "updated": time.time(),
        }
        try:
            atomic.write_json(self.file, content)
        except OSError as error:
            places.tell(f"no status: {errors.in_one_line(error)}")


NOWHERE = Status()
