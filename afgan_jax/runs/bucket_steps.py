"""The folders of checkpoints, <step>/, as Orbax leaves them in a bucket.

It writes their files in place, and one more, COMMITTED, when all are there. The
functions are those of step_folder.
"""

import itertools
from collections.abc import Iterable

from afgan_jax.runs import checksums, orbax_path, step_folder
from afgan_jax.runs.bucket import Bucket
from afgan_jax.runs.step_folder import COMMITTED

ATTEMPTS = 2  # to restore a step


def numbers(folder: Bucket) -> list[int]:
    """The steps whose save was finished, in ascending order."""
    return sorted(step for step, names in _steps(folder).items() if COMMITTED in names)


def complete(folder: Bucket) -> list[int]:
    """The steps that are completely saved, in ascending order."""
    return _complete(_steps(folder))


def check_any_complete(folder: Bucket) -> None:
    """Raises ValueError if there are steps, of which none is complete."""
    step_folder.check_any(folder, numbers(folder), complete(folder))


def check_has(folder: Bucket, step: int | None) -> list[int]:
    """The complete steps; ValueError unless `step`, None: any, is one of them."""
    check_any_complete(folder)
    return step_folder.check_one(folder, complete(folder), step)


def read(folder: Bucket, step: int, name: str) -> bytes:
    """A file of a step; FileNotFoundError if it is not there."""
    data, _ = folder.read(f"{step}/{name}")
    if data is None:
        raise FileNotFoundError(f"{folder}/{step}/{name} is not there")
    return data


def names(folder: Bucket, step: int) -> list[str]:
    """The files of a step, in order."""
    found = [name.partition("/")[2] for name in folder.names(f"{step}/")]
    files = [name for name in found if name != COMMITTED and not _is_folder(name)]
    for name in files:
        if not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise ValueError(f"{folder}/{step}/{name} is no name of a file: remove it")
    return files


def add(folder: Bucket, step: int, files: Iterable[tuple[str, bytes]]) -> None:
    """Writes the files of a step, which counts once all are there."""
    for name, data in files:
        folder.write(f"{step}/{name}", data)
    folder.write(f"{step}/{COMMITTED}", b"copied")


def remove(folder: Bucket, step: int) -> None:
    """Removes a step; what remains if that is interrupted counts no more."""
    _remove(folder, step, _steps(folder)[step])


def state(folder: Bucket, step: int):
    """The item of the arrays, for Orbax."""
    return orbax_path.remote(folder) / f"{step}/state"


def check_written(folder: Bucket, step: int, records: checksums.Records) -> None:
    """Raises ValueError unless a step that is being saved has these records."""
    names = _steps(folder).get(step, set())
    missing = [name for name in step_folder.NEEDED if name not in names]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    found = checksums.unseal(read(folder, step, step_folder.NEEDED[0]))
    step_folder.compare(found, records, state(folder, step))


def remove_unfinished(folder: Bucket) -> None:
    """Removes what saves, and removals of old steps, left when they were killed."""
    steps = _steps(folder)
    last = max(_complete(steps), default=-1)
    for step in steps.keys() - _complete(steps):
        if COMMITTED not in steps[step] or step < last:
            _remove(folder, step, steps[step])


def set_aside(folder: Bucket, step: int) -> None:
    """Renames the folder of a step to set-aside-STEP: copies it first."""
    names = _steps(folder)[step]
    folder.remove(folder.names(f"set-aside-{step}/"))
    for name in names:
        folder.copy(f"{step}/{name}", f"set-aside-{step}/{name}")
    _remove(folder, step, names)


def free(folder: Bucket) -> None:
    """None: there is always room."""


def check_readable(folder: Bucket, step: int) -> None:
    """Raises errors.Stopped if the files of a step cannot be read now."""
    for name in folder.names(f"{step}/"):
        folder.read(name)


def _is_folder(name: str) -> bool:
    """Whether an object stands for a folder, as tools that show folders make them."""
    return not name or name.endswith("/")


def _steps(folder: Bucket) -> dict[int, set[str]]:
    """The names of files by step."""
    found = {}
    split = (name.split("/", 1) for name in folder.names() if "/" in name)
    for step, parts in itertools.groupby(split, lambda parts: parts[0]):
        if step.isdigit():
            found[int(step)] = {name for _, name in parts}
    return found


def _complete(steps: dict[int, set[str]]) -> list[int]:
    needed = {COMMITTED, *step_folder.NEEDED}
    return sorted(step for step, names in steps.items() if needed <= names)


def _remove(folder: Bucket, step: int, names: set[str]) -> None:
    """Removes a step; one that is removed in part is not complete."""
    order = sorted(names, key=lambda name: name != COMMITTED)
    folder.remove([f"{step}/{name}" for name in order])
