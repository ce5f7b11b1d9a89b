"""The other processes of a job: meeting them, noticing that one is lost, leaving.

JAX aborts a process with a C++ stack when a process of its job dies, at once or after
100 s, and waits for ever for one that stands still. Here each process sends signs of
life to a small process beside process 0 (see `coordinator`), which tells all who ended
or has been silent for too long; then each ends by itself, with one line and exit code
LOST. The signs of life come from a thread of its own: a process that compiles or
computes metrics for hours is not lost.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import jax
from jax._src import distributed
from jax._src.lib import _jax

from afgan_jax import errors
from afgan_jax.training import coordinator

LOST = 134  # exit code of a process that ends because another has
SILENCE = 30.0  # seconds without a sign of life after which a process is lost
GRACE = 5.0  # seconds to end by an error of its own, when another process ended so
WAIT = 10.0  # seconds to connect; and to hear whether a peer is why XLA failed
MEET = 300  # seconds for all to start
ADDRESS, UNREACHABLE = "afgan_jax/peers/address", "afgan_jax/peers/unreachable/"

WHY = {
    "lost": "{} was lost",
    "silent": "{} was lost: no sign of life for {:g} s; end it if it still exists",
    "failed": "{} ended by an error, see its last line",
}
AGAIN = "run the same command on all processes to go on from the last checkpoint"


@contextlib.contextmanager
def joined(
    address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> Iterator[None]:
    """Meets the other processes before JAX looks for devices, and leaves with them.

    address: HOST:PORT of process 0; without arguments JAX finds the others by itself.
    When another process is lost inside the block, this one ends with exit code LOST.
    Raises ValueError if the others cannot be met.
    """
    with _meeting():
        service = _initialize(address, num_processes, process_id)
        watch = _watch(service)
    try:
        yield
    except BaseException as error:
        if watch is not None:
            watch.fail(error)
        raise
    if watch is not None:
        watch.leave()
        if service is not None:
            service.wait()


@contextlib.contextmanager
def _meeting() -> Iterator[None]:
    """Raises ValueError if the others cannot be met; ends this process after MEET."""
    why = f"not all processes of the job have met within {MEET} s"
    end = threading.Timer(MEET, _end, [f"{why}: start the same command on all"])
    end.daemon = True
    end.start()
    try:
        yield
    except RuntimeError as error:
        raise ValueError(f"cannot meet the other processes: {error}") from error
    finally:
        end.cancel()


def _initialize(*arguments) -> "_Service | None":
    """Joins JAX's job; returns its coordinator, which process 0 starts."""
    service = None

    def start(*arguments, **options):
        nonlocal service
        service = _Service(arguments, options)
        return service

    original = _jax.get_distributed_runtime_service
    _jax.get_distributed_runtime_service = start
    try:
        # JAX would abort, with a C++ stack: not before this process ends by itself.
        jax.distributed.initialize(*arguments, initialization_timeout=2 * MEET)
    finally:
        _jax.get_distributed_runtime_service = original
    # JAX would only take note of SIGTERM.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return service


def _watch(service: "_Service | None") -> "Watch | None":
    """The watch over the job; None, on all processes, if one cannot take part."""
    state = distributed.global_state
    client, index, count = state.client, state.process_id, state.num_processes
    if index == 0:
        host = state.coordinator_address.rpartition(":")[0].strip("[]")
        client.key_value_set(ADDRESS, f"{host} {service.port if service else 0}")
    host, port = client.blocking_key_value_get(ADDRESS, 30_000).split(" ")
    name = f"process {index} of {count} (pid {os.getpid()} on {socket.gethostname()})"
    connection = _connect(host, int(port), index, name)
    if connection is None:
        client.key_value_set(f"{UNREACHABLE}{index}", str(index))
    client.wait_at_barrier("afgan_jax/peers", 30_000)
    missing = client.key_value_dir_get(UNREACHABLE)
    if not missing:
        return Watch(connection, name)
    if index == 0:
        print(
            f"process {missing[0][1]} cannot reach port {port} of {host}: if a process"
            " is lost, the others notice late",
            file=sys.stderr,
        )
    return None


def _connect(host: str, port: int, index: int, name: str) -> socket.socket | None:
    try:
        connection = socket.create_connection((host, port), WAIT)
    except OSError:
        return None
    connection.sendall(f"{index} {name}\n".encode())
    return connection


class Watch:
    """A thread that ends this process when it hears that another is lost."""

    def __init__(self, connection: socket.socket, name: str):
        self._connection, self._name = connection, name
        self._all_are_done = threading.Event()
        self._is_leaving = False
        self._interval = min(1, SILENCE / 10)
        connection.settimeout(self._interval)
        threading.Thread(target=self._run, daemon=True).start()

    def fail(self, error: BaseException) -> None:
        """Tells the others that this process is about to end by an error.

        An error of XLA may come from the loss of a peer, which ends this process here.
        """
        if errors.may_be_of_peers(error):
            time.sleep(WAIT)
        self._is_leaving = True
        self._send("failed")
        atexit.register(_exit_alone)

    def leave(self) -> None:
        """Waits until all processes are done; none can be lost from then on."""
        self._send("done")
        self._all_are_done.wait()
        jax.distributed.shutdown()
        self._is_leaving = True
        self._send("bye")

    def _send(self, word: str) -> None:
        with contextlib.suppress(OSError):  # the thread notices it too
            self._connection.sendall(f"{word}\n".encode())

    def _run(self) -> None:
        heard = now = time.monotonic()
        rest = b""
        while not self._is_leaving:
            self._send("")
            try:
                received = self._connection.recv(4096)
            except TimeoutError:
                received = None
            except OSError:
                received = b""
            now, before = time.monotonic(), now
            if received or now - before > SILENCE / 2:  # or this process was stopped
                heard = now
            if received == b"" or now - heard > SILENCE:
                self._end("lost", "the coordinator beside process 0")
            *lines, rest = (rest + (received or b"")).split(b"\n")
            for line in filter(None, lines):
                how, _, name = line.decode().partition(" ")
                if how == "done":
                    self._all_are_done.set()
                else:
                    self._end(how, name)

    def _end(self, how: str, name: str) -> None:
        """Ends this process in one line, unless it ends by itself."""
        if how == "failed":
            time.sleep(GRACE)
        if self._is_leaving:
            return
        if name == self._name:
            name = f"this process, {name},"
        _end(f"{WHY[how].format(name, SILENCE)}; {AGAIN}")


def _end(line: str) -> None:
    """Ends this process, which must not wait for anything."""
    late = threading.Timer(5, os._exit, [LOST])
    late.start()  # in case nobody reads the line
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())
    os._exit(LOST)


def _exit_alone() -> None:
    """Ends this process after an error; JAX would wait for the others to end well."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(1)


class _Service:
    """The coordinator, which ends by itself, in place of JAX's service.

    Raises RuntimeError if it could not start. `port` is for the signs of life.
    """

    def __init__(self, arguments: tuple, options: dict):
        asked = {
            "module": _jax.__name__,
            "function": "get_distributed_runtime_service",
            "arguments": arguments,
            "options": options,
            "silence": SILENCE,
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
