"""The end of a training by an error: a last checkpoint, and one line on both."""

import contextlib
import errno
from collections.abc import Callable, Iterator

import jax

from afgan_jax import errors
from afgan_jax.training import state as states

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def saving(run, state: Callable[[], states.TrainState]) -> Iterator[None]:
    """After an error of the block, saves the state that `state` then returns.

    Raises errors.Stopped, which tells the error and what was saved; OSError for a full
    disk, on which nothing could be saved.
    """
    try:
        yield
    except Exception as error:
        try:
            fate = _save(run, state())
        except Exception as failure:
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                raise error from None
            fate = f"nothing newer could be saved ({_told(failure)})"
        raise errors.Stopped(f"{_told(error)}; {fate}") from error


def _save(run, state: states.TrainState) -> str:
    """Saves the state, if this process alone can; returns how the run stands."""
    if any(leaf.is_deleted() for leaf in jax.tree.leaves(state)):
        raise RuntimeError("the failed step had begun to change the state")
    if jax.process_count() > 1:  # the others may go on, and do not save with this one
        return f"its newest checkpoint is step {run.latest_step()}"
    step, nimg = (int(x) for x in jax.device_get((state.step, state.nimg)))
    if step == 0:
        return "nothing was trained yet"
    run.save(step, states.to_tree(state))
    run.checkpoints.wait()
    return f"saved at {nimg / 1000:z.3f} kimg: run the same command to resume"


def _told(error: Exception) -> str:
    text = errors.in_one_line(error)
    is_plain = isinstance(error, ValueError | OSError | errors.Stopped)
    return text if is_plain else f"{type(error).__name__}: {text}"
