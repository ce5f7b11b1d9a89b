"""The other processes of a job: meeting them, noticing that one is lost, leaving.

JAX aborts a process with a C++ stack when a process of its job dies, at once or after
100 s, and waits for ever for one that stands still. Here each process sends signs of
life to a small process beside process 0 (see `coordinator`), which tells all who ended
or has been silent for too long; then each ends by itself, with one line and exit code
abort.CODE. The signs of life come from a thread of its own: a process that compiles or
computes metrics for hours is not lost.
"""

import atexit
import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import jax
from jax._src import distributed

from afgan_jax import errors, places
from afgan_jax.training import abort, meeting

HEARTBEAT = 30.0  # seconds without a sign of life after which a process is lost
INITIALIZATION = 300.0  # seconds for all to start
GRACE = 5.0  # seconds to end by an error of its own, when another process ended so
WAIT = 10.0  # seconds to connect; and to hear whether a peer is why XLA failed
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
    *,
    heartbeat: float = HEARTBEAT,
    initialization: float = INITIALIZATION,
) -> Iterator[None]:
    """Meets the other processes before JAX looks for devices, and leaves with them.

    address: HOST:PORT of process 0; without arguments JAX finds the others by itself.
    When another process is lost inside the block, or silent for `heartbeat` seconds,
    this one ends with exit code abort.CODE, and so it does if not all have met after
    `initialization` seconds. Raises ValueError if the others cannot be met or found.
    """
    with meeting.within(initialization):
        times = {"heartbeat": heartbeat, "initialization": initialization}
        service = meeting.meet(address, num_processes, process_id, **times)
        watch = _watch(service, heartbeat)
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


def are_joined() -> bool:
    """Whether this process belongs to a job, be it the only one."""
    return distributed.global_state.client is not None


def gathered(name: str, text: str) -> list[str] | None:
    """To process 0 the texts of all processes, in any order; to others None.

    Each must call it; process 0 waits until all have, for the first time for a name.
    """
    state = distributed.global_state
    key = f"afgan_jax/{name}"
    own = f"{key}/{state.process_id}"
    state.client.key_value_set(own, text, allow_overwrite=True)
    if state.process_id:
        return None
    wait = round(1000 * INITIALIZATION)
    return [
        state.client.blocking_key_value_get(f"{key}/{index}", wait)
        for index in range(state.num_processes)
    ]


def _watch(service: meeting.Service | None, heartbeat: float) -> "Watch | None":
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
        return Watch(connection, name, heartbeat)
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

    def __init__(self, connection: socket.socket, name: str, heartbeat: float):
        self._connection, self._name = connection, name
        self._heartbeat = heartbeat
        self._all_are_done = threading.Event()
        self._is_leaving = False
        self._interval = min(1, heartbeat / 10)
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
            if (
                received or now - before > self._heartbeat / 2
            ):  # or this process was stopped
                heard = now
            if received == b"" or now - heard > self._heartbeat:
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
        abort.abort(f"{WHY[how].format(name, self._heartbeat)}; {AGAIN}")


def _exit_alone() -> None:
    """Ends this process after an error; JAX would wait for the others to end well."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    places.exit_at_once(1)
