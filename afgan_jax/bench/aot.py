"""What the TPU compiler says of training updates, on a machine without a TPU.

libtpu compiles for a topology that is only described. Memory is what the program will
take on each chip. Cycles are the compiler's own estimates, summed over the instructions
that carry one: good for ranking two programs for one chip, and never a claim of speed
(loops, collectives and Pallas kernels carry none and are counted instead).
"""

import collections
import dataclasses
import importlib.util
import os
import re
from collections.abc import Iterator

from jax.experimental import topologies

from afgan_jax import errors
from afgan_jax.bench import clock, memory

# Clocks in Hz by which cycles become time.
CLOCKS = {"v4": 1.05e9, "v5e": 1.5e9, "v5p": 1.75e9, "v6e": 1.75e9}
# Or else libtpu asks a cloud which machine this is, and complains at length.
NO_CLOUD = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
INSTALL = 'pip install "jax[tpu]" in an environment of its own'
HEADER = (
    f"{'':16}{'arguments':>11}{'temporary':>11}{'estimate':>10}{'per image':>11}"
    f"{'uncounted':>11}{'compile':>9}  reduced and moved between chips"
)
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_BYTES |= {"f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "u64": 8}
_COLLECTIVE = re.compile(
    r"= (.+?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    r"|collective-broadcast)(-start)?\("
)
_SHAPE = re.compile(r"\b(\w+)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True)
class Report:
    """One compiled program, per chip. `seconds` is a static estimate.

    `collectives` is {kind: (how many, bytes of their results)}; `uncounted` says how
    many loops and custom calls have no estimate.
    """

    name: str
    images: int
    argument_bytes: int
    temporary_bytes: int
    seconds: float
    uncounted: int
    compile_seconds: float
    collectives: dict[str, tuple[int, int]]

    def line(self) -> str:
        moved = ", ".join(
            f"{count} {kind} {size / 1e6:.1f} MB"
            for kind, (count, size) in sorted(self.collectives.items())
        )
        return (
            f"{self.name:16}{self.argument_bytes / 1e9:8.2f} GB"
            f"{self.temporary_bytes / 1e9:8.2f} GB{self.seconds * 1e3:7.1f} ms"
            f"{self.seconds / self.images * 1e3:8.1f} ms{self.uncounted:11}"
            f"{self.compile_seconds:7.0f} s  {moved or 'nothing'}"
        )

    def as_dict(self) -> dict:
        return dataclasses.asdict(self)


def devices(topology: str) -> list:
    """The chips of a topology such as "v5e:4x4" or "v6e:1x1".

    Raises ValueError for one that libtpu does not know, and if there is no libtpu.
    """
    generation, _, shape = topology.partition(":")
    if generation not in CLOCKS or not re.fullmatch(r"\d+x\d+(x\d+)?", shape):
        why = (
            "is not GENERATION:SHAPE, such as v5e:1x1 or v6e:4x4, with one of"
            f" {', '.join(CLOCKS)}"
        )
        raise errors.SettingError("topology", topology, why)
    for name, value in NO_CLOUD.items():
        os.environ.setdefault(name, value)
    # A host holds more than one chip unless told otherwise.
    single = set(shape.split("x")) == {"1"}
    options = {"chips_per_host_bounds": (1, 1, 1)} if single else {}
    try:
        described = topologies.get_topology_desc(
            platform="tpu", topology_name=topology, **options
        )
    except (RuntimeError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        if importlib.util.find_spec("libtpu") is None:
            reason = f"there is no TPU compiler here: {INSTALL}"
        raise errors.SettingError("topology", topology, f"fails: {reason}") from error
    return list(described.devices)


def updates(
    program, D, batch: int, hertz: float, phases: tuple[str, ...] = ()
) -> Iterator[Report]:
    """Compiles updates of a program made for the chips of `devices`: all, or `phases`.

    Raises ValueError for a phase that the program does not have.
    """
    for name in set(phases) - set(program.updates):
        known = ", ".join(program.updates)
        why = f"is no phase of this program: use some of {known}"
        raise errors.SettingError("phases", name, why)
    arguments = memory.arguments(program, D, batch)
    images = batch // program.replicated.mesh.size
    for name in phases or program.updates:
        update = program.updates[name]
        yield report(name, update, arguments, images, hertz)


def report(name: str, jitted, arguments: tuple, images: int, hertz: float) -> Report:
    """Compile for the devices that the arguments' shardings name, and read the result.

    `images` is the number on each chip, `hertz` its clock.
    """
    compiled, seconds = clock.compile_timed(jitted, arguments)
    sizes, text = compiled.memory_analysis(), compiled.as_text()
    cycles, uncounted = count_cycles(text)
    return Report(
        name,
        images,
        sizes.argument_size_in_bytes,
        sizes.temp_size_in_bytes,
        cycles / hertz,
        uncounted,
        seconds,
        count_collectives(text),
    )


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
    count = 1
    for n in filter(None, shape.split(",")):
        count *= int(n)
    return count * _BYTES.get(dtype, 4)
