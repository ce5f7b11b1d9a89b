"""Who is told what by the process in which a job meets."""

import asyncio
import contextlib
import socket

import pytest

from afgan_jax.training import coordinator

SILENCE = 0.5


@contextlib.asynccontextmanager
async def job(processes: int):
    """Connections, (reader, writer) each, of a job whose processes are all here."""
    hub = coordinator.Hub(processes, SILENCE)
    server = await asyncio.start_server(hub.serve, "127.0.0.1", 0)
    watch = asyncio.create_task(hub.watch())
    port = server.sockets[0].getsockname()[1]
    members = []
    for index in range(processes):
        members.append(await asyncio.open_connection("127.0.0.1", port))
        members[-1][1].write(f"{index} process {index}\n".encode())
    try:
        yield members
    finally:
        watch.cancel()
        for _, writer in members:
            writer.close()
        await asyncio.sleep(0.05)
        server.close()


async def said(reader) -> str:
    """The first line that is not a sign of life."""
    while not (line := (await asyncio.wait_for(reader.readline(), 5)).strip()):
        pass
    return line.decode()


async def live(members) -> None:
    """Signs of life of these for longer than silence is allowed."""
    for _ in range(10):
        for _, writer in members:
            writer.write(b"\n")
        await asyncio.sleep(SILENCE / 5)


def test_all_hear_who_is_gone():
    async def run():
        async with job(3) as members:
            await live(members)
            members[1][1].close()
            for index in (0, 2):
                assert await said(members[index][0]) == "lost process 1"

    asyncio.run(run())


def test_all_hear_who_is_silent_himself_too():
    async def run():
        async with job(3) as members:
            await live(members[:2])
            for reader, _ in members:
                assert await said(reader) == "silent process 2"

    asyncio.run(run())


def test_who_failed_is_not_lost_and_what_follows_is_not_told():
    async def run():
        async with job(3) as members:
            members[0][1].write(b"failed\n")
            await live(members)
            members[0][1].close()
            members[1][1].close()
            reader = members[2][0]
            assert await said(reader) == "failed process 0"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(said(reader), SILENCE / 2)

    asyncio.run(run())


def test_all_are_done_when_the_last_is_and_then_may_go():
    async def run():
        async with job(2) as members:
            (first, one), (second, two) = members
            one.write(b"done\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(said(first), SILENCE / 2)
            two.write(b"done\n")
            assert [await said(first), await said(second)] == ["done", "done"]
            one.write(b"bye\n")
            await one.drain()
            one.close()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(said(second), SILENCE / 2)

    asyncio.run(run())


def test_strangers_are_sent_away():
    async def run():
        async with job(1) as members:
            port = members[0][1].get_extra_info("peername")[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(said(members[0][0]), SILENCE / 2)

    asyncio.run(run())


def test_a_port_in_use_is_refused(monkeypatch):
    monkeypatch.setattr(coordinator, "PATIENCE", 0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SystemExit, match=f"another program has port {port}"):
            coordinator._wait_for(f"127.0.0.1:{port}")
    coordinator._wait_for(f"127.0.0.1:{port}")
