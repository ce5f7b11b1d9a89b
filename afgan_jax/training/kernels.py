"""What computes the filtered nonlinearities of training, and whether it works here."""

import logging

import jax
import numpy as np
from jax.experimental import multihost_utils

from afgan_jax.signal import nonlinearity

# name: inner forms to prefer. "pallas" is for TPUs.
KERNELS = {"xla": {}, "pallas": {"filtered": "fused"}}
_log = logging.getLogger(__name__)


def usable(kernel: str) -> str:
    """The kernel asked for if this machine computes with it rightly, or else "xla".

    Says in one line of the log why another is taken.
    """
    if kernel != "pallas":
        return kernel
    platform = jax.default_backend()
    fault = f"it is for TPUs, this is a {platform}"
    if platform == "tpu":
        fault = nonlinearity.fault_of_kernel()
    if jax.process_count() > 1:  # all compile the same program, or wait for ever
        fine = multihost_utils.process_allgather(np.array(fault is None))
        if fault is None and not fine.all():
            fault = "it failed in another process"
    if fault is None:
        _log.warning("kernel=pallas: passed its test, used from here on")
        return kernel
    _log.warning("kernel=pallas: %s; using kernel=xla", fault)
    return "xla"


def check(kernel: str) -> None:
    """Raises ValueError for a kernel that is not in the table."""
    if kernel not in KERNELS:
        raise ValueError(
            f"updates.kernel={kernel!r} is unknown: use one of {', '.join(KERNELS)}"
        )
