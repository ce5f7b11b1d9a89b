"""Meeting the other processes of a job, by JAX's means.

JAX's coordination service, which process 0 would run within itself, runs in a small
process beside it (see `coordinator`).
"""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

import jax
from jax._src import cloud_tpu_init, distributed
from jax._src.lib import _jax

from afgan_jax import errors
from afgan_jax.training import abort, coordinator

# Firewalls of Cloud TPU open this port; JAX 0.8.1 and later would use another one.
PORT = "8476"
UNKNOWN = (
    "finds no job of a TPU, SLURM, Open MPI or Kubernetes (that needs pip install"
    " jax[k8s]) here: give HOST:PORT of process 0, with num_processes and process_id"
)


def meet(
    address: str | None,
    num_processes: int | None,
    process_id: int | None,
    *,
    heartbeat: float,
    initialization: float,
) -> "Service | None":
    """Joins JAX's job; returns its coordinator, which process 0 starts.

    For the arguments see peers.joined. Raises RuntimeError if the others cannot be met,
    SettingError if JAX does not find them by itself.
    """
    service = None

    def start(*arguments, **options):
        nonlocal service
        service = Service(arguments, options, heartbeat)
        return service

    _keep_open_port()
    original = _jax.get_distributed_runtime_service
    _jax.get_distributed_runtime_service = start
    try:
        jax.distributed.initialize(
            address,
            num_processes,
            process_id,
            # JAX would abort, with a C++ stack: not before this process ends by itself.
            initialization_timeout=math.ceil(2 * initialization),
            heartbeat_timeout_seconds=math.ceil(max(100, 2 * heartbeat)),
        )
    except ValueError as error:
        if distributed.global_state.coordinator_address is not None:
            raise
        raise errors.SettingError("coordinator", "auto", UNKNOWN) from error
    finally:
        _jax.get_distributed_runtime_service = original
    # JAX would only take note of SIGTERM.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return service


def _keep_open_port() -> None:
    """On Cloud TPU, lets JAX use the port that is open, unless one is asked for."""
    if cloud_tpu_init.running_in_cloud_tpu_vm and "SLURM_JOB_ID" not in os.environ:
        os.environ.setdefault("JAX_COORDINATOR_PORT", PORT)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises ValueError if the others cannot be met in the block.

    Ends this process if the block takes longer.
    """
    why = f"not all processes of the job have met within {seconds:g} s"
    line = f"{why}: start the same command on all"
    end = threading.Timer(seconds, abort.abort, [line])
    end.daemon = True
    end.start()
    try:
        yield
    except RuntimeError as error:
        raise ValueError(f"cannot meet the other processes: {error}") from error
    finally:
        end.cancel()


class Service:
    """The coordinator, which ends by itself, in place of JAX's service.

    Raises RuntimeError if it could not start. `port` is for the signs of life.
    """

    def __init__(self, arguments: tuple, options: dict, heartbeat: float):
        asked = {
            "module": _jax.__name__,
            "function": "get_distributed_runtime_service",
            "arguments": arguments,
            "options": options,
            "silence": heartbeat,
        }
        with tempfile.TemporaryFile("w+") as said:
            self._child = child = subprocess.Popen(
                [sys.executable, "-P", coordinator.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,  # a signal from the terminal is not for it
                text=True,
            )
            child.stdin.write(json.dumps(asked) + "\n")
            child.stdin.flush()
            port = child.stdout.readline()
            if not port:
                child.wait()
                said.seek(0)
                lines = said.read().splitlines() or [f"exit code {child.returncode}"]
                raise RuntimeError(lines[-1])
        self.port = int(port)

    def shutdown(self) -> None:
        """Does nothing: others may need it longer."""

    def wait(self) -> None:
        """Waits until it has ended: who comes then begins a new job."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(coordinator.LINGER)
