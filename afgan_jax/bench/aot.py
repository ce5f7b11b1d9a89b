"""Memory and estimated time of training updates on devices that are not there.

A compiler needs only a description of them. Memory is that of the program on each. Of
TPUs, cycles are the estimates of libtpu, summed over the instructions that have one:
they rank programs for one chip, but are not times. Loops, collectives and Pallas
kernels have no estimate and are counted instead. Of NVIDIA cards, a floor of the time
is what the kernels read and write (see kernels.py), over the card's bandwidth.
"""

import collections
import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax

from afgan_jax import errors
from afgan_jax.bench import cards, described, hlo, kernels, memory
from afgan_jax.signal.backends import pallas_gpu_units


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
TPU_HEADER = (
    f"{'':18}{'arguments':>11}{'temporary':>11}{'estimate':>10}{'per image':>11}"
    f"{'uncounted':>11}{'compile':>9}  reduced and moved between chips"
)
CUDA_HEADER = (
    f"{'':18}{'arguments':>11}{'temporary':>11}{'floor':>10}{'per image':>11}"
    f"{'moved':>11}{'kernels':>9}{'compile':>9}  reduced and moved between cards"
)
_COLLECTIVE = re.compile(
    r"= (.+?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    r"|collective-broadcast)(-start)?\("
)
_OVER = re.compile(
    r"required for HLO temporaries \((\S+)\) exceeds available HBM \((\S+)\)"
    r"|Used (\S+) of (\S+) hbm"
)


@dataclasses.dataclass(frozen=True)
class Report(memory.Row):
    """One compiled program on each device.

    seconds: a static estimate, of a TPU without the `uncounted` loops and custom calls.
    collectives: {kind: (how many, bytes of their results)}.
    """

    images: int
    seconds: float
    collectives: dict[str, tuple[int, int]]

    def _line(self, middle: str) -> str:
        moved = ", ".join(
            f"{count} {kind} {size / 1e6:z.1f} MB"
            for kind, (count, size) in sorted(self.collectives.items())
        )
        return (
            f"{self.name:18}{self.argument_bytes / 1e9:z8.2f} GB"
            f"{self.temporary_bytes / 1e9:z8.2f} GB{self.seconds * 1e3:z7.2f} ms"
            f"{self.seconds / self.images * 1e3:z8.2f} ms{middle}"
            f"{self.compile_seconds:z7.0f} s  {moved or 'nothing'}"
        )


@dataclasses.dataclass(frozen=True)
class OnTPU(Report):
    uncounted: int

    def line(self) -> str:
        return self._line(f"{self.uncounted:11}")


@dataclasses.dataclass(frozen=True)
class OnCUDA(Report):
    """bytes: read and written by the kernels; window: the longest of a convolution."""

    bytes: int
    kernels: int
    window: int

    def line(self) -> str:
        return self._line(f"{self.bytes / 1e9:z8.2f} GB{self.kernels:9}")


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

    bytes: of the largest one, of `memory`. seconds: as of a Report; is_floor: at least
    so many, by what kernels move.
    """

    name: str
    images: int
    bytes: int
    memory: float
    seconds: float
    is_floor: bool

    def line(self) -> str:
        return (
            f"{self.name:18}{self.bytes / 1e9:z8.2f} GB of {self.memory / 1e9:z.0f} GB,"
            f" {self.images / self.seconds:z.1f} images/s a device"
            f" ({'floor' if self.is_floor else 'estimate'})"
        )


class Target(NamedTuple):
    """What to compile for.

    memory: bytes of each device. make: the class of a program's row, and read what it
    has beside memory and images, from the compiled text. options: of the compiler.
    generation: of a card, for which there is a Pallas kernel.
    """

    devices: list
    memory: float
    make: type[Report]
    read: Callable[[str], tuple]
    options: Mapping[str, bool]
    generation: str | None = None


def tpu(topology: str) -> Target:
    """A topology such as "v5e:4x4"; raises ValueError as `devices`."""
    chips = devices(topology)
    chip = CHIPS[topology.partition(":")[0]]

    def read(text: str) -> tuple:
        cycles, uncounted = count_cycles(text)
        return cycles / chip.hertz, count_collectives(text), uncounted

    return Target(chips, chip.memory, OnTPU, read, {})


def cuda(card: str, count: int = 1) -> Target:
    """So many cards of one machine; raises ValueError as cards.devices."""
    found = cards.devices(card, count)
    memory, bandwidth = cards.CARDS[card].memory, cards.CARDS[card].bandwidth

    def read(text: str) -> tuple:
        run = kernels.of_module(text)
        moved = kernels.total_bytes(run)
        numbers = moved, sum(k.times for k in run), kernels.largest_window(run)
        return moved / bandwidth, count_collectives(text), *numbers

    generation = pallas_gpu_units.GENERATIONS.get(cards.CARDS[card].capability[0])
    return Target(found, memory, OnCUDA, read, cards.COMPILER_OPTIONS, generation)


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
    missing = f"the TPU compiler is missing: {INSTALL}"
    options |= {"topology_name": topology}
    setting = "topology", topology
    return described.devices("tpu", setting, ("libtpu",), missing, **options)


def updates(
    program, D, batch: int, target: Target, phases: tuple[str, ...] = ()
) -> Iterator[Report | Misfit | Step]:
    """Compiles updates of a program for the devices of a target; phases: only these.

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
        found[name] = report(name, update, arguments, images, target)
        yield found[name]
    if not phases and all(isinstance(row, Report) for row in found.values()):
        intervals = {p.name: p.interval for p in program.phases}
        yield _mean(found, intervals, images, target)


def _mean(
    rows: Mapping[str, Report],
    intervals: Mapping[str, int],
    images: int,
    target: Target,
) -> Step:
    most = max(row.argument_bytes + row.temporary_bytes for row in rows.values())
    seconds = sum(row.seconds / intervals[name] for name, row in rows.items())
    is_floor = target.make is OnCUDA
    return Step("step", images, most, target.memory, seconds, is_floor)


def report(
    name: str, jitted, arguments: tuple, images: int, target: Target
) -> Report | Misfit:
    """Compiles for the devices of the arguments' shardings, which are the target's.

    images: their number on each device.
    """
    try:
        with pallas_gpu_units.compiling_for(target.generation):
            row, compiled = memory.compiled(name, jitted, arguments, target.options)
    except jax.errors.JaxRuntimeError as error:
        needed = _OVER.search(str(error))
        if needed is None:
            raise
        return Misfit(name, images, *filter(None, needed.groups()))
    found = target.read(compiled.as_text())
    needed, available = row.argument_bytes + row.temporary_bytes, target.memory
    if target.make is OnCUDA and needed > available:  # libtpu refuses by itself
        return Misfit(name, images, f"{needed / 1e9:z.2f}G", f"{available / 1e9:z.2f}G")
    return target.make(*dataclasses.astuple(row), images, *found)


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
        sizes = hlo.sizes(shapes)
        if started and kind != "all-reduce":  # lists its operand beside its result
            sizes = sizes[1:2]
        count, total = found[kind]
        found[kind] = (count + 1, total + sum(sizes))
    return dict(found)
