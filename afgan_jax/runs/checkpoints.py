"""Checkpoints of a pytree of arrays: atomic, and verified when they are restored.

A step is a folder <step>/ with two items: `state`, the arrays, and `checksums`, the
shape, dtype and CRC-32 of every leaf. Orbax writes both under a temporary name and
renames them last; it does not notice a flipped bit in a file, so checksums are kept.
Before it renames them, the structure is read back.
best.json, beside the folders, names the best steps (see retention.py). In a run of
several processes every process calls every function here.
"""

import contextlib
import errno
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from afgan_jax import errors
from afgan_jax.runs import (
    bucket_steps,
    checksums,
    orbax_logging,
    orbax_path,
    restoring,
    step_folder,
)
from afgan_jax.runs import retention as retentions
from afgan_jax.runs.bucket import Bucket

Tree = Any
_log = logging.getLogger(__name__)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Checkpoints:
    """The checkpoints of one folder on this machine.

    One process (or group of processes) at a time may open a folder for writing, which
    removes unfinished saves. Any number may read it meanwhile.
    """

    def __init__(
        self,
        folder: Path | Bucket,
        *,
        retention: retentions.Retention | None = None,
        read_only: bool = False,
        best: Path | None = None,
        check: Callable[[], object] = lambda: None,
        before_commit: Callable[[], object] = lambda: None,
    ):
        """retention: which steps to keep, None: all. ValueError: damaged best.json.

        best: where that is if not in the folder. check: raises errors.Stopped if
        nothing may be written any more. before_commit: called, in process 0, when a
        save is written and before it counts.
        """
        self._is_remote = isinstance(folder, Bucket)
        self.folder = folder if self._is_remote else Path(folder).absolute()
        self.read_only = read_only
        self._check_held, self._before_commit = check, before_commit
        self._kept = bucket_steps if self._is_remote else step_folder
        orbax_logging.silence_failed_saves()
        self._best = retentions.Best(best or self.folder / "best.json")
        if not read_only:
            self._remove_unfinished()
            incomplete = set(self._kept.numbers(self.folder)) - set(self.steps())
            if incomplete and jax.process_index() == 0:
                _log.warning("setting aside incomplete checkpoints %s", incomplete)
            self._set_aside(incomplete)
        self._saving: tuple[int, checksums.Records] | None = None
        self._failure: errors.Stopped | None = None  # of the last save
        as_path = orbax_path.remote if self._is_remote else orbax_path.literal
        self._manager = ocp.CheckpointManager(
            as_path(self.folder),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=retentions.policy(retention, self._best),
                async_options=ocp.AsyncOptions(post_finalization_callback=self._check),
                create=not read_only,
                read_only=read_only,
            ),
        )

    def steps(self) -> list[int]:
        """The steps that are completely saved, in ascending order."""
        return self._kept.complete(self.folder)

    def save(self, step: int, tree: Tree) -> None:
        """Saves the tree in the background; does nothing if the step is saved already.

        The arrays may be donated as soon as this returns. A save that fails raises
        here, at the next save, in wait() or in close(): with OSError if the disk is
        full, if possible before writing, else errors.Stopped. Earlier checkpoints stay.
        If a bucket does not answer that is told, and raised by wait() and close() only.
        """
        with self._going_on():
            self.wait()
        if step in self._manager.all_steps():
            return
        self._check_held()
        self._failure = None
        self._check_space(tree)
        records = checksums.records(tree)
        items = ocp.args.Composite(
            state=ocp.args.PyTreeSave(tree),
            checksums=ocp.args.JsonSave(checksums.seal(records)),
        )
        self._saving = step, records
        with self._going_on():
            try:
                saved = self._manager.save(step, args=items)
            except Exception as error:
                self._raise_save_error(error)
            assert saved, f"step {step} is older than {self._manager.latest_step()}"

    def record_metric(
        self, step: int, metric: str, value: float, *, higher: bool = False
    ) -> bool:
        """Keeps the checkpoint of `step` if it is the best yet; returns whether it is.

        The best has the lowest value, or the highest if `higher`; all processes must
        pass the same. Raises ValueError if there is no such checkpoint (any more).
        """
        with self._going_on():
            self.wait()
        if self._failure is not None:
            return False
        # A bucket is not asked again: it might not answer just now.
        steps = sorted(self._manager.all_steps()) if self._is_remote else self.steps()
        if step not in steps:
            raise ValueError(
                f"there is no checkpoint {step} in {self.folder} to be the best by"
                f" {metric}; steps: {steps}"
            )
        is_best = self._best.record(step, metric, value, higher)
        if is_best and jax.process_index() == 0:
            try:
                self._best.write()
            except OSError as error:
                _log.warning("%s", errors.in_one_line(error))
        return is_best

    def restore(
        self, abstract: Tree, step: int | None = None, *, partial: bool = False
    ) -> tuple[int, Tree]:
        """(step, tree) of the newest undamaged checkpoint, or of `step`.

        abstract: a tree of jax.ShapeDtypeStruct, whose shardings place the leaves; it
          may be a part of the saved tree if `partial`.
        If opened for writing, renames the folders of later steps, since the run now
        continues from here. Raises checksums.Mismatch if the tree is not the one saved,
        ValueError if there is no undamaged checkpoint.
        """
        steps = self._kept.check_has(self.folder, step)
        newer = [n for n in self._kept.numbers(self.folder) if n > steps[-1]]
        reasons = [f"checkpoint {n} is incomplete" for n in newer if step is None]
        for candidate in [step] if step is not None else reversed(steps):
            tree, reason = restoring.attempt(
                self._manager, self._kept, self.folder, candidate, abstract, partial
            )
            if reason is None:
                break
            reasons.append(f"checkpoint {candidate} is damaged ({reason})")
        else:
            raise ValueError(f"cannot restore from {self.folder}: {'; '.join(reasons)}")
        if reasons and jax.process_index() == 0:
            _log.warning("%s; continuing from step %d", "; ".join(reasons), candidate)
        if not self.read_only and candidate != steps[-1]:
            self._set_aside({other for other in steps if other > candidate})
            self._manager.reload()
        return candidate, tree

    def wait(self) -> None:
        """Waits for the save in progress; raises its failure."""
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            self._raise_save_error(error)
        if self._failure is not None:
            raise self._failure

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """That a bucket does not answer one process is no reason to stop yet."""
        try:
            yield
        except errors.Stopped as error:
            if not self._is_remote or jax.process_count() > 1:
                raise
            if error is not self._failure:
                _log.warning("training continues: %s", errors.in_one_line(error))
            self._failure = error

    def close(self) -> None:
        """Waits for the save in progress and stops the background threads."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _remove_unfinished(self) -> None:
        """Removes what killed and failed saves left, which Orbax does not."""
        if jax.process_index() == 0:
            self._check_held()
            self._kept.remove_unfinished(self.folder)

    def _check(self) -> None:
        """Called by Orbax in process 0 before it renames what it wrote.

        Raises ValueError unless that can be read back.
        """
        step, records = self._saving
        self._kept.check_written(self.folder, step, records)
        self._before_commit()

    def _set_aside(self, steps: set[int]) -> None:
        """Renames the folders of these steps to set-aside-STEP."""
        best_is_gone = self._best.keep_only(set(self.steps()) - steps)
        if jax.process_index() == 0:
            if best_is_gone:
                self._best.write()
            for step in steps:
                self._kept.set_aside(self.folder, step)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("afgan_jax checkpoints set aside")

    def _check_space(self, tree: Tree) -> None:
        """Raises OSError unless the disk has room for the tree."""
        free = self._kept.free(self.folder)
        if free is None:
            return
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
        needed = size + size // 20 + 2**20  # metadata and partly filled blocks
        is_short = needed > free
        if jax.process_count() > 1:  # all refuse, or none
            is_short = multihost_utils.process_allgather(np.array(is_short)).any()
        if is_short:
            needed, free = needed / 1e6, free / 1e6
            cause = f"a checkpoint takes {needed:z.1f} MB, {free:z.1f} MB are free"
            raise self._disk_full(cause)

    def _raise_save_error(self, error: Exception) -> None:
        """Removes what remains of the save; raises the error in one line."""
        with contextlib.suppress(errors.Stopped):  # of a bucket out of reach
            self._remove_unfinished()
        with contextlib.suppress(*([Exception] if self._is_remote else [])):
            self._manager.reload()
        codes = [f"os_error_code='{code}'" for code in _DISK_FULL]
        full = getattr(error, "errno", None) in _DISK_FULL
        if full or any(code in str(error) for code in codes):
            raise self._disk_full("a checkpoint could not be saved") from error
        raise errors.Stopped(
            f"checkpoint {self._saving[0]} could not be saved in {self.folder}"
            f" ({step_folder.reason_of(error)}): see to the disk and run the same"
            f" command again ({self._last_good()})",
        ) from error

    def _disk_full(self, cause: str) -> OSError:
        return OSError(
            errno.ENOSPC,
            f"the disk of {self.folder} is full: {cause}; free some space and run the"
            f" same command again ({self._last_good()})",
        )

    def _last_good(self) -> str:
        try:
            newest = self.steps()[-1:] or ["none"]
        except errors.Stopped:
            newest = ["unknown"]
        return f"last good step: {newest[0]}"
