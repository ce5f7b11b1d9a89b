"""The implementations of the operators of training, and which one is usable here."""

import logging

import jax
import numpy as np
from jax.experimental import multihost_utils

from afgan_jax.signal.backends import dispatch, pallas_selftest

# name: {operation: implementation}. "pallas" is for TPUs; "naive" uses XLA's own for
# every operation, for comparison.
IMPLEMENTATIONS = {"xla": {}, "pallas": {"filtered": "fused"}, "naive": dispatch.NAIVE}
_log = logging.getLogger(__name__)


def usable(name: str) -> str:
    """`name` if it works on this machine, else "xla"; logs the reason in one line."""
    if name != "pallas":
        return name
    platform = jax.default_backend()
    fault = f"it is for TPUs, this is a {platform}"
    if platform == "tpu":
        fault = pallas_selftest.fault()
    if jax.process_count() > 1:  # all must compile the same program
        fine = multihost_utils.process_allgather(np.array(fault is None))
        if fault is None and not fine.all():
            fault = "it failed in another process"
    if fault is None:
        _log.warning("implementation=pallas: self-test succeeded, using it")
        return name
    _log.warning("implementation=pallas: %s; using implementation=xla", fault)
    return "xla"
