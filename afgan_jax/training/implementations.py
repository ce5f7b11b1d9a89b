"""The implementations of the operators of training, and which one is usable here."""

import logging
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
from jax.experimental import multihost_utils

import afgan_jax
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
    if dtype == "float32" and jax.default_backend() == "gpu":
        why = "on GPUs it is for synthesis.dtype=bfloat16 or float16, this is float32"
    else:
        why = fault()
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
    number = jax.local_devices()[0].local_hardware_id or 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    paths = [str(pathlib.Path(afgan_jax.__file__).parents[1])]
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    environment = os.environ | {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "CUDA_VISIBLE_DEVICES": visible.split(",")[number] if visible else str(number),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    command = [sys.executable, "-m", pallas_selftest.__name__]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"its self-test takes more than {SECONDS} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["nothing was said"]
        # Of an abort the reason stands before the frames of its stack.
        why = next((line for line in lines if "Check failed" in line), lines[-1])
        return f"its self-test ends with {done.returncode}: {why[:200]}"
    mark = pallas_selftest.FAULT
    told = (line for line in done.stdout.splitlines() if line.startswith(mark))
    return next((line.removeprefix(mark) for line in told), None)
