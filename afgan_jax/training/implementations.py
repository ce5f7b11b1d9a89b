"""The implementations of the operators of training, and which one is usable here."""

import logging
import os
import subprocess
import sys

import jax
import numpy as np
from jax.experimental import multihost_utils

from afgan_jax.signal.backends import (
    dispatch,
    pallas_gpu_units,
    pallas_selftest,
    pallas_tpu,
)

# name: {operation: implementation}. "pallas" is for TPUs and new NVIDIA GPUs; "naive"
# uses XLA's own for every operation, for comparison.
IMPLEMENTATIONS = {"xla": {}, "pallas": {"filtered": "fused"}, "naive": dispatch.NAIVE}
SECONDS = 600  # for a process that starts JAX and compiles a dozen kernels
_log = logging.getLogger(__name__)


def usable(name: str, dtype: str) -> str:
    """`name` if it works on this machine, else "xla"; logs the reason in one line.

    dtype: of the generator's layers.
    """
    if name != "pallas":
        return name
    why = fault()
    if why is None and dtype == "float32" and jax.default_backend() == "gpu":
        why = "on GPUs it is for synthesis.dtype=bfloat16 or float16, this is float32"
    if jax.process_count() > 1:  # all must compile the same program
        fine = multihost_utils.process_allgather(np.array(why is None))
        if why is None and not fine.all():
            why = "it failed in another process"
    if why is None:
        _log.warning("implementation=pallas: self-test succeeded, using it")
        return name
    _log.warning("implementation=pallas: %s; using implementation=xla", why)
    return "xla"


def fault() -> str | None:
    """What is wrong with "fused" on this machine's devices, None if nothing."""
    platform = jax.default_backend()
    if platform == "tpu":
        return pallas_selftest.fault(pallas_tpu)
    if platform != "gpu":
        return f"it is for TPUs and GPUs, this is a {platform}"
    if pallas_gpu_units.generation() is None:
        kind = jax.devices()[0].device_kind
        return f"it is for Hopper and Blackwell GPUs, this is an {kind}"
    return _fault_in_a_process()


def _fault_in_a_process() -> str | None:
    """That of the kernel for NVIDIA GPUs, beside this process on its first card."""
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-m", pallas_selftest.__name__]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"its self-test takes more than {SECONDS} s"
    said = done.stdout.strip().splitlines()
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        return f"its self-test ends with {done.returncode}: {last[:200]}"
    return said[-1] if said else None
