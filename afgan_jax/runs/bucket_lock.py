"""A lock on a run in a bucket: an object there, which its holder renews.

It says which process holds it, and when it was last renewed. One that was not for STALE
seconds is taken over, as is that of a process of this machine which has ended. Each
write needs the version that was read: of two that take it over, one does.
"""

import contextlib
import datetime
import json
import logging
import os
import re
import socket
import threading
import time
from pathlib import Path

from afgan_jax import errors
from afgan_jax.runs.bucket import Bucket

NAME = ".lock"
RENEWAL = 30.0  # seconds from one renewal to the next
STALE = 600.0  # seconds after the last one until others may take it over
_log = logging.getLogger(__name__)


class BucketLock:
    """The lock of this process; held from when `attempt` succeeds until `close`."""

    def __init__(self, bucket: Bucket):
        self._bucket, self._version = bucket, 0
        self._me = _identity(os.getpid()) | {"since": time.time()}
        self._seen: int | None = None  # version of the lock of another process
        self._is_lost = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def attempt(self) -> bool:
        """Whether the lock is held now; if not, call it again.

        Raises ValueError, which names it, if another process holds it and lives.
        """
        data, version = self._bucket.read(NAME)
        holder = _parse(data)
        if holder is not None and not _has_ended(holder):
            if self._seen not in (None, version):
                raise ValueError(
                    f"{_told(holder)} is training the run in {self._bucket}: stop it,"
                    " or use another workdir"
                )
            if self._seen is None:
                left = holder["renewed"] + STALE - time.time()
                _log.warning(
                    "%s holds the lock of %s: waiting to see whether it still lives,"
                    " %.0f s at most",
                    *(_told(holder), self._bucket, left),
                )
                self._seen = version
            if time.time() < holder["renewed"] + STALE:
                time.sleep(min(5, RENEWAL / 3))
                return False
        if holder is not None:
            _log.warning("taking over the lock of %s, which has ended", _told(holder))
        found = self._bucket.write(NAME, self._content(), version)
        if found is None:
            return False
        self._version = found
        self._thread.start()
        return True

    def check(self) -> None:
        """Raises errors.Stopped if another process has taken the lock over."""
        if self._is_lost:
            holder = _parse(self._bucket.read(NAME)[0])
            raise errors.Stopped(
                f"{_told(holder) if holder else 'another process'} has taken over the"
                f" run in {self._bucket}, as this one was not heard of for {STALE:g} s"
            )

    def close(self) -> None:
        """Gives the lock back."""
        if self._thread.is_alive():
            self._end.set()
            self._thread.join()
            if not self._is_lost:
                with contextlib.suppress(errors.Stopped, ValueError):  # it becomes old
                    self._bucket.remove([NAME], self._version)

    def _renew(self) -> None:
        while not self._end.wait(RENEWAL):
            try:
                found = self._bucket.write(NAME, self._content(), self._version)
            except (errors.Stopped, ValueError):  # as uploads, which say so
                continue
            if found is None:
                self._is_lost = True
                return
            self._version = found

    def _content(self) -> bytes:
        return json.dumps(self._me | {"renewed": time.time()}).encode()


def _identity(pid: int) -> dict:
    """What tells a process from others, on this machine and elsewhere."""
    return {"pid": pid, "host": socket.gethostname()} | {
        "machine": _read("/proc/sys/kernel/random/boot_id"),
        "processes": _namespace(),
        "started": _started(pid),
    }


def _has_ended(holder: dict) -> bool:
    """Whether it was a process that this one would see, and does not."""
    found = _identity(holder["pid"])
    for name in ("host", "machine", "processes"):
        if found[name] is None or found[name] != holder.get(name):
            return False
    return found["started"] != holder.get("started")


def _namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When the process began, in the system's clock; None if there is none."""
    stat = _read(f"/proc/{pid}/stat")
    fields = stat.rpartition(")")[2].split() if stat else []
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else None


def _read(file: str) -> str | None:
    try:
        return Path(file).read_text().strip()
    except OSError:
        return None


def _parse(data: bytes | None) -> dict | None:
    """The holder; one that is damaged is old."""
    if data is None:
        return None
    try:
        holder = json.loads(data)
        text = {name: str(holder[name]) for name in ("host",)}
        numbers = {name: float(holder[name]) for name in ("since", "renewed")}
        return holder | text | numbers | {"pid": int(holder["pid"])}
    except (ValueError, KeyError, TypeError):
        return {"pid": 0, "host": "unknown", "since": 0.0, "renewed": 0.0}


def _told(holder: dict) -> str:
    since = datetime.datetime.fromtimestamp(holder["since"], datetime.UTC)
    host = re.sub(r"[^\w.-]", "?", holder["host"])
    return f"process {holder['pid']} on {host} (since {since:%Y-%m-%d %H:%M:%S} UTC)"
