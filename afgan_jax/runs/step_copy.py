"""A run with one step of another, in a folder or a bucket: training goes on in it."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from afgan_jax import errors, places
from afgan_jax.runs import (
    atomic,
    checkpoints,
    location,
    mirror,
    orbax_logging,
    step_folder,
)
from afgan_jax.runs import config as config_lib
from afgan_jax.runs.bucket import Refused
from afgan_jax.runs.bucket_lock import BucketLock

BEST = "checkpoints/best.json"  # names the steps of one run
STAGED = ".copy-"  # begins the names of folders with what is not complete


def copy(source: str, step: int | None, out: str) -> tuple[int, int]:
    """Copies a step, None: the newest, with the small files; (step, its arrays).

    Lines about later steps are left out. The copy appears as a whole, on a disk, and
    all its arrays are compared with their checksums. Raises ValueError if there is no
    such step, it is damaged, or `out` holds anything.
    """
    place, target = location.of(source), _target(out)
    place.check_has(step)
    step = max(place.steps()) if step is None else step
    small = _small_files(place, step)
    with _staged(target, step, small) as staged:
        for name, data in small.items():
            if staged.bucket is not None:
                staged.bucket.write(name, data)
            else:
                atomic.write(staged.folder / name, data)
        files = (
            (name, place.kept.read(place.checkpoints, step, name))
            for name in place.kept.names(place.checkpoints, step)
        )
        staged.kept.add(staged.checkpoints, step, files)
        count, reason = examine(staged, step)
        if reason is not None:
            raise ValueError(
                f"checkpoint {step} of {place} is damaged ({reason}): copy another step"
            )
    return step, count


def examine(place: location.Location, step: int) -> tuple[int, str | None]:
    """(number of a step's arrays, why it is damaged); all are read and compared.

    Raises Refused or errors.Stopped if a bucket does not let them be read.
    """
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    best = place.folder / BEST
    try:
        with orbax_logging.silenced():
            found = step_folder.tree_of(place.kept.state(place.checkpoints, step))
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), found
        )
        with checkpoints.Checkpoints(
            place.checkpoints, read_only=True, best=best
        ) as saved:
            saved.restore(abstract, step)
    except (Refused, errors.Stopped, MemoryError):
        raise
    except Exception as error:  # a damaged file can raise anything
        _, told, reason = str(error).rpartition(" is damaged (")
        return 0, reason.removesuffix(")") if told else step_folder.reason_of(error)
    return len(jax.tree.leaves(abstract)), None


def _target(out: str) -> location.Location:
    """The place, which is not there or an empty folder; SettingError if not."""
    named = places.named(out)
    if places.is_url(named):
        target = location.of(named)
        is_free = target.is_empty()
    else:
        path = os.path.realpath(named)
        target = location.of(path)
        is_free = not os.path.lexists(path) or (
            os.path.isdir(path) and not os.listdir(path) and not os.path.ismount(path)
        )
    if not is_free:
        raise errors.SettingError("out", out, "is there already: name a new place")
    return target


@contextlib.contextmanager
def _staged(
    target: location.Location, step: int, small: Mapping[str, Any]
) -> Iterator[location.Location]:
    """A place that becomes the target when the block ends; nothing stays otherwise."""
    if target.bucket is not None:
        with _locked(target):
            try:
                yield target
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is what counts
                    there = target.bucket.names(f"checkpoints/{step}/")
                    target.bucket.remove([*there, *small])
                raise
        return
    home = target.folder.parent
    with errors.accessing(home):
        home.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=STAGED, dir=home)
    with folder as name:
        staged = Path(name) / target.folder.name
        yield location.Location(staged)
        os.replace(staged, target.folder)


@contextlib.contextmanager
def _locked(target: location.Location) -> Iterator[None]:
    """No training begins in this bucket; ValueError if one has."""
    lock = BucketLock(target.bucket)
    while not lock.attempt():
        pass
    try:
        if not target.is_empty():
            raise errors.SettingError("out", str(target), "is there: name a new place")
        yield
    finally:
        lock.close()


def _small_files(place: location.Location, step: int) -> dict[str, bytes]:
    """{name: content} of what a run is read from, without lines about later steps."""
    if place.bucket is not None:
        found, _ = mirror.read(place.bucket, mirror.READ, mirror.ADDED_TO)
    else:
        found = mirror.of_folder(place.folder, mirror.READ, mirror.ADDED_TO)
    found.pop(BEST, None)
    config = config_lib.from_json(found["config.json"], f"{place}/config.json")
    batch = config.get("updates", {}).get("batch_size")
    limits = {"step": step} if batch is None else {"step": step, "nimg": step * batch}
    return {
        name: _up_to(data, limits) if mirror.ADDED_TO.fullmatch(name) else data
        for name, data in found.items()
    }


def _up_to(data: bytes, limits: Mapping[str, int]) -> bytes:
    """The lines whose numbers are at most these."""

    def counts(text: bytes) -> bool:
        try:
            numbers = json.loads(text)
            return all(numbers.get(name, 0) <= most for name, most in limits.items())
        except (ValueError, TypeError, AttributeError):
            return False

    return b"".join(line for line in data.splitlines(keepends=True) if counts(line))
