"""What computes the operators of training, and whether it works on this machine."""

import logging

import jax
import numpy as np
from jax.experimental import multihost_utils

from afgan_jax.signal.backends import dispatch, pallas_selftest

# name: {operation: implementation} to wish for. "pallas" is for TPUs; "naive" is XLA's
# own of everything, for comparison.
IMPLEMENTATIONS = {"xla": {}, "pallas": {"filtered": "fused"}, "naive": dispatch.NAIVE}
_log = logging.getLogger(__name__)


def usable(name: str) -> str:
    """The implementation asked for if it is right on this machine, or else "xla".

    Says in one line of the log why another is taken.
    """
    if name != "pallas":
        return name
    platform = jax.default_backend()
    fault = f"it is for TPUs, this is a {platform}"
    if platform == "tpu":
        fault = pallas_selftest.fault()
    if jax.process_count() > 1:  # all compile the same program, or wait for ever
        fine = multihost_utils.process_allgather(np.array(fault is None))
        if fault is None and not fine.all():
            fault = "it failed in another process"
    if fault is None:
        _log.warning("implementation=pallas: passed its test, used from here on")
        return name
    _log.warning("implementation=pallas: %s; using implementation=xla", fault)
    return "xla"


def check(name: str) -> None:
    """Raises ValueError for a name that is not in the table."""
    if name not in IMPLEMENTATIONS:
        raise ValueError(
            f"updates.implementation={name!r} is unknown: use one of"
            f" {', '.join(IMPLEMENTATIONS)}"
        )
