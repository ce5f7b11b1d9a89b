"""Checkpoints of a pytree of arrays: atomic, and verified when they are restored.

A step is a folder <step>/ with two items: `state`, the arrays, and `checksums`, the
shape, dtype and CRC-32 of every leaf. Orbax writes both under a temporary name and
renames them last; it does not notice a flipped bit in a file, so checksums are kept.
Before it renames them, the structure is read back.
best.json, beside the folders, names the best steps (see retention.py). In a run of
several processes every process calls every function here.
"""

import errno
import functools
import gc
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import preservation_policy

from afgan_jax import errors, patience
from afgan_jax.runs import atomic, checksums, orbax_logging, orbax_path, step_folder
from afgan_jax.runs import retention as retentions

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
        folder: Path,
        *,
        retention: retentions.Retention | None = None,
        read_only: bool = False,
    ):
        """retention: which steps to keep, None: all. ValueError: damaged best.json."""
        self.folder = Path(folder).absolute()
        self.read_only = read_only
        orbax_logging.silence_failed_saves()
        self._best = retentions.Best(self.folder / "best.json")
        if not read_only:
            self._remove_unfinished()
            incomplete = set(step_folder.numbers(self.folder)) - set(self.steps())
            if incomplete and jax.process_index() == 0:
                _log.warning("setting aside incomplete checkpoints %s", incomplete)
            self._set_aside(incomplete)
        self._saving: tuple[int, checksums.Records] | None = None
        self._manager = ocp.CheckpointManager(
            orbax_path.literal(self.folder),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=_policy(retention, self._best),
                async_options=ocp.AsyncOptions(post_finalization_callback=self._check),
                create=not read_only,
                read_only=read_only,
            ),
        )

    def steps(self) -> list[int]:
        """The steps that are completely saved, in ascending order."""
        return step_folder.complete(self.folder)

    def save(self, step: int, tree: Tree) -> None:
        """Saves the tree in the background; does nothing if the step is saved already.

        The arrays may be donated as soon as this returns. A save that fails raises
        here, at the next save, in wait() or in close(): with OSError if the disk is
        full, if possible before writing, else errors.Stopped. Earlier checkpoints stay.
        """
        self.wait()
        if step in self._manager.all_steps():
            return
        self._check_space(tree)
        records = checksums.records(tree)
        items = ocp.args.Composite(
            state=ocp.args.PyTreeSave(tree),
            checksums=ocp.args.JsonSave(checksums.seal(records)),
        )
        self._saving = step, records
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
        self.wait()
        if step not in self.steps():
            raise ValueError(
                f"there is no checkpoint {step} in {self.folder} to be the best by"
                f" {metric}; steps: {self.steps()}"
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
        steps = step_folder.check_has(self.folder, step)
        newer = [n for n in step_folder.numbers(self.folder) if n > steps[-1]]
        reasons = [f"checkpoint {n} is incomplete" for n in newer if step is None]
        for candidate in [step] if step is not None else reversed(steps):
            tree, reason = self._try_restore(candidate, abstract, partial)
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

    def _try_restore(self, step: int, abstract: Tree, partial: bool):
        """(tree, None), or (None, why the checkpoint is damaged)."""
        with orbax_logging.silenced():
            restore = functools.partial(self._restore, step, abstract, partial)
            try:
                if jax.process_count() > 1:  # which restore in step with each other
                    tree, reason = restore()
                else:
                    tree, reason = patience.patiently(f"checkpoint {step}", restore)
            except (checksums.Mismatch, MemoryError, jax.errors.JaxRuntimeError):
                raise
            except Exception as error:  # a damaged file can raise anything
                reason = step_folder.reason_of(error)
            if reason is not None:
                tree = None
                time.sleep(0.2)  # other threads log the failure a moment later
                gc.collect()
        if jax.process_count() > 1:  # all restore the same step, or none
            fine = multihost_utils.process_allgather(np.array(reason is None))
            if reason is None and not fine.all():
                reason = "another process could not read it"
        return (tree, None) if reason is None else (None, reason)

    def _restore(self, step: int, abstract: Tree, partial: bool):
        """(tree, None or what does not match its checksum)."""
        file = self.folder / str(step) / "checksums" / "metadata"
        saved = checksums.unseal(atomic.read(file))
        where = f"checkpoint {step} of {self.folder}"
        checksums.compare(saved, abstract, partial, where)
        arguments = ocp.args.PyTreeRestore(
            abstract,
            restore_args=ocp.checkpoint_utils.construct_restore_args(abstract),
            partial_restore=partial,
        )
        items = self._manager.restore(step, args=ocp.args.Composite(state=arguments))
        tree = items["state"]
        return tree, checksums.first_damage(saved, checksums.records(tree))

    def _remove_unfinished(self) -> None:
        """Removes what killed and failed saves left, which Orbax does not."""
        if jax.process_index() == 0:
            for unfinished in self.folder.glob("*.orbax-checkpoint-tmp*"):
                for _ in range(50):  # other writes of a failed save may still be ending
                    shutil.rmtree(unfinished, ignore_errors=True)
                    if not unfinished.exists():
                        break
                    time.sleep(0.1)

    def _check(self) -> None:
        """Called by Orbax in process 0 before it renames what it wrote.

        Raises ValueError unless that can be read back.
        """
        step, records = self._saving
        (written,) = self.folder.glob(f"{step}.orbax-checkpoint-tmp*")
        step_folder.check(written, records)

    def _set_aside(self, steps: set[int]) -> None:
        """Renames the folders of these steps to set-aside-STEP."""
        best_is_gone = self._best.keep_only(set(self.steps()) - steps)
        if jax.process_index() == 0:
            if best_is_gone:
                self._best.write()
            for step in steps:
                target = self.folder / f"set-aside-{step}"
                shutil.rmtree(target, ignore_errors=True)
                (self.folder / str(step)).rename(target)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("afgan_jax checkpoints set aside")

    def _check_space(self, tree: Tree) -> None:
        """Raises OSError unless the disk has room for the tree."""
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
        needed = size + size // 20 + 2**20  # metadata and partly filled blocks
        free = shutil.disk_usage(self.folder).free
        is_short = needed > free
        if jax.process_count() > 1:  # all refuse, or none
            is_short = multihost_utils.process_allgather(np.array(is_short)).any()
        if is_short:
            needed, free = needed / 1e6, free / 1e6
            cause = f"a checkpoint takes {needed:z.1f} MB, {free:z.1f} MB are free"
            raise self._disk_full(cause)

    def _raise_save_error(self, error: Exception) -> None:
        """Removes what remains of the save; raises the error in one line."""
        self._remove_unfinished()
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
        newest = self.steps()[-1:] or ["none"]
        return f"last good step: {newest[0]}"


def _policy(retention: retentions.Retention | None, best: retentions.Best):
    if retention is None:
        return preservation_policy.PreserveAll()
    policies = [preservation_policy.LatestN(retention.newest), best]
    if retention.every is not None:
        policies.append(
            preservation_policy.EveryNSteps(retention.every, exact_interval=False)
        )
    return preservation_policy.AnyPreservationPolicy(policies)
