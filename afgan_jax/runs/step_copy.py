"""A run with one step of another, in a folder or a bucket: training goes on in it."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax

from afgan_jax import errors
from afgan_jax.runs import atomic, checkpoints, location, mirror, step_folder

BEST = "checkpoints/best.json"  # names the steps of one run


def copy(source: str, step: int | None, out: str) -> tuple[int, int]:
    """Copies a step, None: the newest, with the small files; (step, its arrays).

    Lines about later steps are left out. The copy appears as a whole, on a disk, and
    all its arrays are compared with their checksums. Raises ValueError if there is no
    such step, it is damaged, or `out` holds anything.
    """
    place, target = location.of(source), location.of(out)
    place.check_has(step)
    step = max(place.steps()) if step is None else step
    if target.exists() and not target.is_empty():
        raise errors.SettingError("out", out, "holds files: name a new place")
    with _staged(target) as staged:
        for name, data in _small_files(place, step).items():
            if staged.bucket is not None:
                staged.bucket.write(name, data)
            else:
                atomic.write(staged.folder / name, data)
        files = (
            (name, place.kept.read(place.checkpoints, step, name))
            for name in place.kept.names(place.checkpoints, step)
        )
        staged.kept.add(staged.checkpoints, step, files)
        try:
            count = verify(staged, step)
        except ValueError as error:
            reason = str(error).rpartition(f"checkpoint {step} is ")[2]
            raise ValueError(
                f"checkpoint {step} of {place} is {reason}: copy another step"
            ) from None
    return step, count


def verify(place: location.Location, step: int) -> int:
    """The number of a step's arrays, which are all compared with their checksums.

    Raises ValueError if one is damaged.
    """
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    found = step_folder.tree_of(place.kept.state(place.checkpoints, step))
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        found,
    )
    best = place.folder / BEST
    with checkpoints.Checkpoints(place.checkpoints, read_only=True, best=best) as saved:
        saved.restore(abstract, step)
    return len(jax.tree.leaves(abstract))


@contextlib.contextmanager
def _staged(target: location.Location) -> Iterator[location.Location]:
    """A place that becomes the target when the block ends, and is gone otherwise."""
    if target.bucket is not None:
        try:
            yield target
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is what counts
                target.bucket.remove(target.bucket.names())
            raise
        return
    home = target.folder.parent
    with errors.accessing(home):
        home.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".copy-", dir=home)
    with folder as name:
        staged = Path(name) / target.folder.name
        yield location.Location(staged)
        os.replace(staged, target.folder)


def _small_files(place: location.Location, step: int) -> dict[str, bytes]:
    """{name: content} of what a run is read from, without lines about later steps."""
    if place.bucket is not None:
        found, _ = mirror.read(place.bucket, mirror.READ, mirror.ADDED_TO)
    else:
        found = mirror.of_folder(place.folder, mirror.READ, mirror.ADDED_TO)
    found.pop(BEST, None)
    return {
        name: _up_to(data, step) if mirror.SHARED.fullmatch(name) else data
        for name, data in found.items()
    }


def _up_to(data: bytes, step: int) -> bytes:
    """The lines of measurements of steps up to this one."""

    def counts(line: bytes) -> bool:
        try:
            return json.loads(line)["step"] <= step
        except (ValueError, KeyError, TypeError):
            return False

    return b"".join(line for line in data.splitlines(keepends=True) if counts(line))
