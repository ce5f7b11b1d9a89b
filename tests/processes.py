"""Python code in processes of its own, alone or as a job of two."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(
    code, *arguments, prefix=(), devices=1, environment=None
) -> subprocess.Popen:
    """Runs code in another process, which may import afgan_jax and the tests."""
    environment = (
        os.environ
        | (environment or {})
        | {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        }
    )
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_address() -> str:
    """An address on this machine for the processes of a job to meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def python_twice(code, folder, devices=2) -> list[str]:
    """Output of code in both processes of a job; arguments: folder, index, address."""
    address = free_address()
    children = [python(code, folder, i, address, devices=devices) for i in range(2)]
    outs = [child.communicate(timeout=240)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0], "\n".join(outs)
    return outs
