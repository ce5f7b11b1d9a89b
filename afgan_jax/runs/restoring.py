"""Restoring one checkpoint, and telling one that is damaged from one out of reach."""

import functools
import gc
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from afgan_jax import errors, patience
from afgan_jax.runs import checksums, orbax_logging, step_folder
from afgan_jax.runs.bucket import Refused

Tree = Any


def attempt(
    manager: ocp.CheckpointManager,
    kept: Any,
    folder: Any,
    step: int,
    abstract: Tree,
    partial: bool,
) -> tuple[Tree, str | None]:
    """(tree, None), or (None, why the checkpoint is damaged).

    kept: the module of the steps in `folder`, step_folder or bucket_steps.
    """
    restore = functools.partial(
        _restore, manager, kept, folder, step, abstract, partial
    )
    with orbax_logging.silenced():
        tree, reason = _patiently(kept, folder, step, restore)
        if reason is not None:
            tree = None
            time.sleep(0.2)  # other threads log the failure a moment later
            gc.collect()
    if jax.process_count() > 1:  # all restore the same step, or none
        fine = multihost_utils.process_allgather(np.array(reason is None))
        if reason is None and not fine.all():
            reason = "another process could not read it"
    return (tree, None) if reason is None else (None, reason)


def _patiently(kept, folder, step: int, restore: Callable[[], tuple]) -> tuple:
    """restore(), or (None, the reason); tried again if the medium may be to blame."""
    is_alone = jax.process_count() == 1  # others restore in step with each other
    for _ in range(kept.ATTEMPTS if is_alone else 1):
        try:
            if is_alone:
                return patience.patiently(f"checkpoint {step}", restore)
            return restore()
        except (checksums.Mismatch, MemoryError, jax.errors.JaxRuntimeError):
            raise
        except (Refused, errors.Stopped):
            raise
        except Exception as error:  # a damaged file can raise anything
            reason = step_folder.reason_of(error)
        kept.check_readable(folder, step)
    return None, reason


def _restore(manager, kept, folder, step: int, abstract: Tree, partial: bool):
    """(tree, None or what does not match its checksum)."""
    text = kept.read(folder, step, step_folder.NEEDED[0])
    saved = checksums.unseal(text)
    where = f"checkpoint {step} of {folder}"
    checksums.compare(saved, abstract, partial, where)
    arguments = ocp.args.PyTreeRestore(
        abstract,
        restore_args=ocp.checkpoint_utils.construct_restore_args(abstract),
        partial_restore=partial,
    )
    items = manager.restore(step, args=ocp.args.Composite(state=arguments))
    tree = items["state"]
    return tree, checksums.first_damage(saved, checksums.records(tree))
