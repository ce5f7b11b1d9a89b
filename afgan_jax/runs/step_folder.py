"""The folder of a checkpoint, <step>/, as Orbax leaves it on the disk."""

import stat
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from afgan_jax import patience
from afgan_jax.runs import atomic, checksums, orbax_path

# Without one of these files nothing of the step can be read.
NEEDED = ("checksums/metadata", "state/_METADATA", "state/manifest.ocdbt")


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
    if numbers(folder) and not complete(folder):
        raise ValueError(
            f"none of the checkpoints in {folder} is complete: restore their files, or"
            " move them away to begin anew"
        )


def check_has(folder: Path, step: int | None) -> list[int]:
    """The complete steps; ValueError unless `step`, None: any, is one of them."""
    check_any_complete(folder)
    steps = complete(folder)
    if not steps or step not in (None, *steps):
        wanted = "checkpoint" if step is None else f"checkpoint {step}"
        raise ValueError(f"there is no {wanted} in {folder}; steps: {steps}")
    return steps


def check(step: Path, records: checksums.Records) -> None:
    """Raises ValueError unless the folder of a step has these records and arrays.

    The structure is read: names, shapes and types of all arrays, not their values.
    """
    missing = [name for name in NEEDED if not _exists(step / name)]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    if checksums.unseal(atomic.read(step / NEEDED[0])) != records:
        raise ValueError("its list of checksums is another one")
    if _forms(step / "state") != {name: _form(r) for name, r in records.items()}:
        raise ValueError("its arrays are others")


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


def _forms(state: Path) -> dict[str, tuple]:
    """{name: (shape, dtype)} of the arrays; each is opened."""
    tree = ocp.PyTreeCheckpointHandler().metadata(orbax_path.literal(state)).tree
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {checksums.name_of(path): _form(vars(leaf)) for path, leaf in leaves}


def _form(leaf) -> tuple:
    return tuple(leaf["shape"]), str(leaf["dtype"])
