"""The process beside process 0 of a job in which the others meet.

It runs JAX's coordination service, which ends every process at once, with a C++ stack,
when it ends itself: so it outlives process 0 by the moment the others need to end by
themselves. And it hears a sign of life of each process, and tells all who was lost.

A process connects by TCP and sends lines: its index and its name first; then empty ones
as signs of life; `failed` before it ends by an error of its own; `done` when it has
nothing more to do; `bye` when it needs the others no more. It gets empty lines too; one
`lost NAME`, `silent NAME` or `failed NAME`, the first that happens; and `done` when all
are done.

Run as a script: its input is a line of JSON, its output the port of these connections.
"""

import asyncio
import contextlib
import dataclasses
import errno
import importlib
import json
import os
import signal
import socket
import sys
import time

LINGER = 10  # seconds after process 0 for the others to end
PATIENCE = 20  # seconds for an earlier job to free the port


@dataclasses.dataclass
class Member:
    name: str
    writer: asyncio.StreamWriter
    heard: float  # when there was the last sign of life
    state: str = "here"  # then done, bye or failed, or lost or silent


class Hub:
    """Hears all processes of a job; `silence` in seconds makes one lost."""

    def __init__(self, processes: int, silence: float):
        self.processes, self.silence = processes, silence
        self.members: dict[int, Member] = {}
        self._is_over = False  # whether one was lost or failed
        self._end = asyncio.Event()

    async def serve(self, reader, writer) -> None:
        """Hears one process until it closes the connection."""
        with contextlib.suppress(OSError, ValueError):
            index, name = (await reader.readline()).decode().strip().split(" ", 1)
            member = Member(name, writer, time.monotonic())
            self.members[int(index)] = member
            with contextlib.suppress(OSError):
                while line := await reader.readline():
                    member.heard = time.monotonic()
                    self._hear(member, line.decode().strip())
            if member.state in ("here", "done"):
                self._lose(member, "lost")
        writer.close()
        if 0 in self.members and self.members[0].writer.is_closing():
            self._end_if_empty()

    async def watch(self) -> None:
        """Exchanges signs of life until nobody needs this process any more."""
        parent, beat = os.getppid(), time.monotonic()
        gone = None  # since when process 0 is
        while gone is None or beat < gone + LINGER:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), min(1, self.silence / 10))
                return
            now, before = time.monotonic(), beat
            beat = now
            if now - before > self.silence / 2:  # this process was stopped
                for member in self.members.values():
                    member.heard += now - before
            for member in self.members.values():
                is_silent = now - member.heard > self.silence
                if is_silent and member.state in ("here", "done"):
                    self._lose(member, "silent")
            self._tell("")
            if os.getppid() != parent:
                gone = gone or now
                self._end_if_empty()

    def _end_if_empty(self) -> None:
        """Ends if nobody is connected but those that are silent."""
        members = self.members.values()
        if all(m.state == "silent" or m.writer.is_closing() for m in members):
            self._end.set()

    def _hear(self, member: Member, word: str) -> None:
        if word == "failed":
            self._lose(member, "failed")
        elif word:
            member.state = word
        states = [member.state for member in self.members.values()]
        if word and states.count("done") == self.processes:
            self._tell("done")
        if states.count("bye") == self.processes:
            self._end.set()

    def _lose(self, member: Member, how: str) -> None:
        member.state = how
        if not self._is_over:  # what follows are consequences
            self._is_over = True
            self._tell(f"{how} {member.name}")

    def _tell(self, line: str) -> None:
        for member in self.members.values():
            if not member.writer.is_closing():
                member.writer.write(f"{line}\n".encode())


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to all processes of a job
    asked = json.loads(sys.stdin.readline())
    _wait_for(asked["arguments"][0])
    start = getattr(importlib.import_module(asked["module"]), asked["function"])
    service = start(*asked["arguments"], **asked["options"])
    asyncio.run(_run(Hub(asked["arguments"][1], asked["silence"])))
    del service
    os._exit(0)


async def _run(hub: Hub) -> None:
    listener = _listener()
    server = await asyncio.start_server(hub.serve, sock=listener)
    print(listener.getsockname()[1], flush=True)
    async with server:
        await hub.watch()
        os._exit(0)


def _listener() -> socket.socket:
    """A socket for connections from anywhere, at a free port."""
    with contextlib.suppress(OSError):  # a machine without IPv6
        family = socket.AF_INET6
        return socket.create_server(("::", 0), family=family, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _wait_for(address: str) -> None:
    """Waits until the port of address, [HOST]:PORT, is free: gRPC would share it."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if "[" in host else socket.AF_INET
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_server((host.strip("[]"), int(port)), family=family).close()
        except OSError as error:
            is_free = error.errno != errno.EADDRINUSE
        else:
            is_free = True
        if is_free:
            return
        if time.monotonic() > end:
            sys.exit(f"another program has port {port}: end it or choose another port")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
