"""Steps of a run kept in another folder, such as a mounted drive, and brought back.

A training that writes to a slow or unreliable file system loses time, or more; so it
writes to a disk, and finished steps are copied.
"""

import os
import shutil
from pathlib import Path

from afgan_jax import places
from afgan_jax.runs import location, step_copy

KEPT = 2  # of the newest; one might be half written when the machine is taken away


def save(run: str | os.PathLike, folder: str | os.PathLike) -> Path | None:
    """Copies the newest step, unless it is there; its place. Older ones are removed.

    All arrays of the copy are compared with their checksums. Raises ValueError if that
    fails, or the step has been removed meanwhile.
    """
    steps = location.of(os.fspath(run)).steps()
    if not steps:
        return None
    copies = _copies(folder)
    step = max(steps)
    if step in copies:
        return None
    home = places.local(folder)
    for part in home.glob(f"{step_copy.STAGED}*"):  # of a machine that was taken away
        shutil.rmtree(part)
    made = home / str(step)
    step_copy.copy(os.fspath(run), step, os.fspath(made))
    for old in sorted(copies, reverse=True)[KEPT - 1 :]:
        shutil.rmtree(copies[old])
    return made


def restore(folder: str | os.PathLike, run: str | os.PathLike) -> int | None:
    """Makes the run, if it is not there, of the newest copy that is whole; its step.

    None: there is a run already, or no copy. Raises ValueError if all are damaged.
    """
    if os.path.lexists(run) and os.listdir(run):
        return None
    copies, reason = _copies(folder), None
    for step in sorted(copies, reverse=True):
        try:
            return step_copy.copy(os.fspath(copies[step]), step, os.fspath(run))[0]
        except ValueError as error:
            reason = error
    if reason is not None:
        raise ValueError(f"no copy in {folder} is whole: {reason}")
    return None


def _copies(folder: str | os.PathLike) -> dict[int, Path]:
    folder = places.local(folder)
    found = folder.iterdir() if folder.is_dir() else ()
    return {int(path.name): path for path in found if path.name.isdecimal()}
