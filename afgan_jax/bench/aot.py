"""Memory and estimated time of training updates on TPUs, on a machine without one.

libtpu compiles for the description of a topology. Memory is that of the program on each
chip. Cycles are the compiler's estimates, summed over the instructions that have one:
they rank programs for one chip, but are not times. Loops, collectives and Pallas
kernels have no estimate and are counted instead.
"""

import collections
import dataclasses
import importlib.util
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
from jax.experimental import topologies

from afgan_jax import errors
from afgan_jax.bench import memory


class Chip(NamedTuple):
    """What JAX calls a device: a chip, or half of one of v4 and TPU7x.

    hertz: the clock, by which cycles become time; that of TPU7x is a guess from its
    peak rate. memory: bytes.
    """

    hertz: float
    memory: float


CHIPS = {
    "v4": Chip(1.05e9, 16e9),
    "v5e": Chip(1.5e9, 16e9),
    "v5p": Chip(1.75e9, 95e9),
    "v6e": Chip(1.75e9, 32e9),
    "tpu7x": Chip(2.2e9, 96e9),
}
# Without these libtpu asks a cloud for the kind of machine, and prints long warnings.
NO_CLOUD = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
INSTALL = 'pip install "jax[tpu]" in an environment of its own'
HEADER = (
    f"{'':18}{'arguments':>11}{'temporary':>11}{'estimate':>10}{'per image':>11}"
    f"{'uncounted':>11}{'compile':>9}  reduced and moved between chips"
)
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_BYTES |= {"f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "u64": 8}
_COLLECTIVE = re.compile(
    r"= (.+?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    r"|collective-broadcast)(-start)?\("
)
_OVER = re.compile(
    r"required for HLO temporaries \((\S+)\) exceeds available HBM \((\S+)\)"
    r"|Used (\S+) of (\S+) hbm"
)
_SHAPE = re.compile(r"\b(\w+)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True)
class Report(memory.Row):
    """One compiled program on each chip.

    seconds: a static estimate, without the `uncounted` loops and custom calls.
    collectives: {kind: (how many, bytes of their results)}.
    """

    images: int
    seconds: float
    uncounted: int
    collectives: dict[str, tuple[int, int]]

    def line(self) -> str:
        moved = ", ".join(
            f"{count} {kind} {size / 1e6:z.1f} MB"
            for kind, (count, size) in sorted(self.collectives.items())
        )
        return (
            f"{self.name:18}{self.argument_bytes / 1e9:z8.2f} GB"
            f"{self.temporary_bytes / 1e9:z8.2f} GB{self.seconds * 1e3:z7.1f} ms"
            f"{self.seconds / self.images * 1e3:z8.1f} ms{self.uncounted:11}"
            f"{self.compile_seconds:z7.0f} s  {moved or 'nothing'}"
        )


@dataclasses.dataclass(frozen=True)
class Misfit:
    """A program that needs more memory than a chip has, by the compiler."""

    name: str
    images: int
    needed: str
    available: str

    def line(self) -> str:
        return f"{self.name:18}does not fit: {self.needed} of {self.available}"


@dataclasses.dataclass(frozen=True)
class Step:
    """All updates of a training, each as often as it is due, on each chip.

    bytes: of the largest one, of `memory`. seconds: an estimate, as of a Report.
    """

    name: str
    images: int
    bytes: int
    memory: float
    seconds: float

    def line(self) -> str:
        return (
            f"{self.name:18}{self.bytes / 1e9:z8.2f} GB of {self.memory / 1e9:z.0f} GB,"
            f" {self.images / self.seconds:z.1f} images/s a device (estimate)"
        )


def devices(topology: str) -> list:
    """The chips of a topology such as "v5e:4x4" or "v6e:1x1".

    Raises ValueError for an unknown topology, and if there is no libtpu.
    """
    generation, _, shape = topology.partition(":")
    if generation not in CHIPS or not re.fullmatch(r"\d+x\d+(x\d+)?", shape):
        why = (
            "is not GENERATION:SHAPE, such as v5e:1x1 or v6e:4x4, with one of"
            f" {', '.join(CHIPS)}"
        )
        raise errors.SettingError("topology", topology, why)
    for name, value in NO_CLOUD.items():
        os.environ.setdefault(name, value)
    # By default a host has more than one chip.
    single = set(shape.split("x")) == {"1"}
    options = {"chips_per_host_bounds": (1, 1, 1)} if single else {}
    try:
        described = topologies.get_topology_desc(
            platform="tpu", topology_name=topology, **options
        )
    except (RuntimeError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        if importlib.util.find_spec("libtpu") is None:
            reason = f"the TPU compiler is missing: {INSTALL}"
        raise errors.SettingError("topology", topology, f"fails: {reason}") from error
    return list(described.devices)


def updates(
    program, D, batch: int, chip: Chip, phases: tuple[str, ...] = ()
) -> Iterator[Report | Misfit | Step]:
    """Compiles updates of a program for the chips of `devices`; phases: only these.

    The last row is of the mean step, if all updates are compiled and fit. Raises
    ValueError for a phase that the program does not have.
    """
    for name in set(phases) - set(program.updates):
        known = ", ".join(program.updates)
        why = f"is no phase of this program: use some of {known}"
        raise errors.SettingError("phases", name, why)
    arguments = memory.arguments(program, D, batch)
    images = batch // program.replicated.mesh.size
    found = {}
    for name in phases or program.updates:
        update = program.updates[name]
        found[name] = report(name, update, arguments, images, chip.hertz)
        yield found[name]
    if not phases and all(isinstance(row, Report) for row in found.values()):
        yield _mean(found, {p.name: p.interval for p in program.phases}, images, chip)


def _mean(
    rows: Mapping[str, Report], intervals: Mapping[str, int], images: int, chip: Chip
) -> Step:
    most = max(row.argument_bytes + row.temporary_bytes for row in rows.values())
    seconds = sum(row.seconds / intervals[name] for name, row in rows.items())
    return Step("step", images, most, chip.memory, seconds)


def report(
    name: str, jitted, arguments: tuple, images: int, hertz: float
) -> Report | Misfit:
    """Compiles for the devices of the arguments' shardings.

    images: their number on each chip. hertz: its clock.
    """
    try:
        row, compiled = memory.compiled(name, jitted, arguments)
    except jax.errors.JaxRuntimeError as error:
        needed = _OVER.search(str(error))
        if needed is None:
            raise
        return Misfit(name, images, *filter(None, needed.groups()))
    text = compiled.as_text()
    cycles, uncounted = count_cycles(text)
    counted = (images, cycles / hertz, uncounted, count_collectives(text))
    return Report(*dataclasses.astuple(row), *counted)


def count_cycles(text: str) -> tuple[int, int]:
    """(estimated cycles of a compiled module's entry, instructions without one)."""
    entry = text[text.index("\nENTRY ") :]
    cycles = re.findall(r'"estimated_cycles":"(\d+)"', entry)
    uncounted = re.findall(r" (?:while|conditional)\(|\"tpu_custom_call\"", entry)
    return sum(map(int, cycles)), len(uncounted)


def count_collectives(text: str) -> dict[str, tuple[int, int]]:
    """{kind: (count, bytes of their results)} in a compiled module, loops once."""
    found = collections.defaultdict(lambda: (0, 0))
    for shapes, kind, started in _COLLECTIVE.findall(text):
        sizes = [_size(*shape) for shape in _SHAPE.findall(shapes)]
        if started and kind != "all-reduce":  # lists its operand beside its result
            sizes = sizes[1:2]
        count, total = found[kind]
        found[kind] = (count + 1, total + sum(sizes))
    return dict(found)


def _size(dtype: str, shape: str) -> int:
    count = math.prod(map(int, filter(None, shape.split(","))))
    return count * _BYTES.get(dtype, 4)
