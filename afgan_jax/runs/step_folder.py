"""The folder of a checkpoint, <step>/, as Orbax leaves it on the disk."""

import shutil
import stat
import time
from collections.abc import Iterable
from pathlib import Path

import orbax.checkpoint as ocp

from afgan_jax import patience
from afgan_jax.runs import array_store, atomic, checksums, orbax_path

ATTEMPTS = 1  # to restore a step: patience is that of each read
UNFINISHED = ".orbax-checkpoint-tmp*"  # after the step
# Without one of these files nothing of the step can be read.
NEEDED = ("checksums/metadata", "state/_METADATA", "state/manifest.ocdbt")
COMMITTED = "commit_success.txt"  # in buckets alone, and copies of those


def numbers(folder: Path) -> list[int]:
    """The steps that have a folder, in ascending order."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def complete(folder: Path) -> list[int]:
    """The steps that are completely saved, in ascending order."""

    def has_all(step: int) -> bool:
        return all(_exists(folder / str(step) / name) for name in NEEDED)

    return list(filter(has_all, numbers(folder)))


def check_any_complete(folder: Path) -> None:
    """Raises ValueError if there are steps, of which none is complete."""
    check_any(folder, numbers(folder), complete(folder))


def check_any(folder: object, all_steps: list[int], complete_steps: list[int]) -> None:
    """Raises ValueError if there are steps, of which none is complete."""
    if all_steps and not complete_steps:
        raise ValueError(
            f"none of the checkpoints in {folder} is complete: restore their files, or"
            " move them away to begin anew"
        )


def check_has(folder: Path, step: int | None) -> list[int]:
    """The complete steps; ValueError unless `step`, None: any, is one of them."""
    check_any_complete(folder)
    return check_one(folder, complete(folder), step)


def check_one(folder: object, steps: list[int], step: int | None) -> list[int]:
    """The steps; ValueError unless `step`, None: any, is one of them."""
    if not steps or step not in (None, *steps):
        wanted = "checkpoint" if step is None else f"checkpoint {step}"
        raise ValueError(f"there is no {wanted} in {folder}; steps: {steps}")
    return steps


def read(folder: Path, step: int, name: str) -> bytes:
    """A file of a step."""
    return atomic.read(folder / str(step) / name)


def names(folder: Path, step: int) -> list[str]:
    """The files of a step, in order."""
    home = folder / str(step)
    files = sorted(path for path in home.rglob("*") if path.is_file())
    return [str(path.relative_to(home)) for path in files if path.name != COMMITTED]


def add(folder: Path, step: int, files: Iterable[tuple[str, bytes]]) -> None:
    """Writes the files of a step, which then appears as a whole."""
    unfinished = folder / f"{step}.orbax-checkpoint-tmp-copy"
    for name, data in files:
        atomic.write(unfinished / name, data)
    unfinished.rename(folder / str(step))


def remove(folder: Path, step: int) -> None:
    """Removes a step; what remains if that is interrupted counts no more."""
    unfinished = folder / f"{step}.orbax-checkpoint-tmp-removed"
    (folder / str(step)).rename(unfinished)
    shutil.rmtree(unfinished)


def state(folder: Path, step: int):
    """The item of the arrays, for Orbax."""
    return orbax_path.literal(folder / str(step) / "state")


def check_written(folder: Path, step: int, records: checksums.Records) -> None:
    """Checks a step that is being saved, as `check`."""
    (written,) = folder.glob(f"{step}{UNFINISHED}")
    check(written, records)


def check(step: Path, records: checksums.Records) -> None:
    """Raises ValueError unless the folder of a step has these records and arrays.

    The structure is read: names, shapes and types of all arrays, not their values.
    """
    missing = [name for name in NEEDED if not _exists(step / name)]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    found = checksums.unseal(atomic.read(step / NEEDED[0]))
    compare(found, records, orbax_path.literal(step / "state"))


def compare(found: checksums.Records, records: checksums.Records, state) -> None:
    """Raises ValueError unless `found` and the arrays in `state` are as recorded."""
    if found != records:
        raise ValueError("its list of checksums is another one")
    wanted = {
        name.replace("/", "."): (tuple(record["shape"]), record["dtype"])
        for name, record in records.items()
    }
    if array_store.forms(state) != wanted:
        raise ValueError("its arrays are others")


def remove_unfinished(folder: Path) -> None:
    """Removes what killed and failed saves left, which Orbax does not."""
    for unfinished in folder.glob(f"*{UNFINISHED}"):
        for _ in range(50):  # other writes of a failed save may still be ending
            shutil.rmtree(unfinished, ignore_errors=True)
            if not unfinished.exists():
                break
            time.sleep(0.1)


def set_aside(folder: Path, step: int) -> None:
    """Renames the folder of a step to set-aside-STEP."""
    target = folder / f"set-aside-{step}"
    shutil.rmtree(target, ignore_errors=True)
    (folder / str(step)).rename(target)


def free(folder: Path) -> int | None:
    """The bytes that are free for checkpoints; None if that does not matter."""
    return shutil.disk_usage(folder).free


def check_readable(folder: Path, step: int) -> None:
    """Raises errors.Stopped if the files of a step cannot be read now; none here."""


def reason_of(error: Exception) -> str:
    """An error of Orbax in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text.partition(" [tensorstore_spec")[0][:300]


def _exists(file: Path) -> bool:
    """Whether the file is there; OSError if the disk does not say."""
    try:
        return stat.S_ISREG(patience.patiently(str(file), file.stat).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def tree_of(state):
    """The tree of the arrays' metadata, with their shapes and dtypes; opens each."""
    return ocp.PyTreeCheckpointHandler().metadata(state).tree
