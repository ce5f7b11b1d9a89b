"""Where a job runs: the host, devices and rows of each process, told as it starts."""

import collections
import dataclasses
import glob
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator

import jax

from afgan_jax.training import peers, report

# What the GPUs and TPU chips of a host are called in /dev.
FILES = {"gpu": ("nvidia[0-9]*",), "tpu": ("accel[0-9]*", "vfio/[0-9]*")}
VISIBLE = "CUDA_VISIBLE_DEVICES"
REMEDIES = {
    "gpu": "start {count} processes there (SLURM: --ntasks-per-node={count}"
    " --gpus-per-node={count}), or one with JAX_LOCAL_DEVICE_IDS={all}",
    "tpu": "leave TPU_VISIBLE_CHIPS and TPU_PROCESS_BOUNDS unset, or start a process"
    " for each part",
}


@dataclasses.dataclass(frozen=True)
class Place:
    """One process: its devices by their numbers on the host, its rows of a batch.

    present: how many GPUs or TPU chips the process could use there; 0: unknown.
    """

    process: int
    host: str
    pid: int
    platform: str
    kind: str
    devices: list[int]
    rows: list[int]
    present: int

    def cells(self) -> tuple[str, ...]:
        devices = f"{len(self.devices)} x {self.kind} ({_spans(self.devices)})"
        rows = f"{self.rows[0]}-{self.rows[-1]}"
        return str(self.process), self.host, str(self.pid), devices, rows


def introduce(batch_size: int, tell: Callable[[str], None] = report.tell) -> None:
    """Tells where this process of a job is; process 0 tells it of all, as a table.

    Process 0 also warns about hosts with more devices than the job uses. Says nothing
    outside of peers.joined.
    """
    if not peers.are_joined():
        return
    mine = here(batch_size)
    process, host, pid, devices, rows = mine.cells()
    where = f"process {process} of {jax.process_count()} (pid {pid} on {host})"
    tell(f"{where}: {devices}, rows {rows} of each batch of {batch_size}")
    texts = peers.gathered("place", json.dumps(dataclasses.asdict(mine)))
    if texts is not None:
        places = sorted(
            (Place(**json.loads(t)) for t in texts), key=lambda p: p.process
        )
        for line in [*table(places), *unused(places)]:
            tell(line)


def here(batch_size: int) -> Place:
    """Where this process is."""
    devices = jax.local_devices()
    kind, platform = devices[0].device_kind, devices[0].platform
    numbers = [d.local_hardware_id for d in devices]
    if len(set(numbers)) < len(numbers):  # parts of a CPU have no numbers
        numbers = range(len(devices))
    share, index = batch_size // jax.process_count(), jax.process_index()
    rows = [index * share, (index + 1) * share - 1]
    who = index, socket.gethostname(), os.getpid()
    return Place(*who, platform, kind, sorted(numbers), rows, present(platform))


def table(places: list[Place]) -> Iterator[str]:
    """Lines on all processes."""
    rows = [("process", "host", "pid", "devices", "rows")]
    rows += [place.cells() for place in places]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def unused(places: list[Place]) -> Iterator[str]:
    """A warning for each host of which the job does not use all devices."""
    hosts = collections.defaultdict(list)
    for place in places:
        hosts[place.host].append(place)
    for host, there in hosts.items():
        used = sum(len(place.devices) for place in there)
        count = max(place.present for place in there)
        if used < count:
            every = ",".join(map(str, range(count)))
            remedy = REMEDIES[there[0].platform].format(count=count, all=every)
            kind = there[0].kind
            found = f"WARNING: {host} has {count} x {kind}, this job uses {used}"
            yield f"{found}: {remedy}"


def present(platform: str, folder: str | os.PathLike = "/dev") -> int:
    """How many devices of a platform this process could use here; 0: unknown.

    Of GPUs CUDA_VISIBLE_DEVICES says it, else nvidia-smi, which knows what a scheduler
    allows; else, and of TPUs, the files in /dev.
    """
    if platform == "gpu" and VISIBLE in os.environ:
        return len([n for n in os.environ[VISIBLE].split(",") if n not in ("", "-1")])
    if platform == "gpu" and shutil.which("nvidia-smi"):
        try:
            listed = subprocess.run(
                ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return 0
        return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return max(
        (len(glob.glob(f"{folder}/{f}")) for f in FILES.get(platform, ())), default=0
    )


def _spans(numbers: list[int]) -> str:
    """ "0-3,6" of [0, 1, 2, 3, 6]."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ",".join(f"{s[0]}-{s[-1]}" if s[1:] else str(s[0]) for s in spans)
