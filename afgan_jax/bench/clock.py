"""Times of compiled functions, as rows for the terminal and JSON."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from afgan_jax.bench import arithmetic
from afgan_jax.signal.backends import dispatch

HEADER = (
    f"{'':28}{'time':>10}{'images/s':>10}{'GFLOP/s':>9}{'naive/this':>11}"
    f"{'memory':>9}{'compile':>9}"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """Measurements of one function; None for what was not measured.

    seconds: the median. gflop: arithmetic of a call. naive_seconds: of the same
    function in XLA's own implementations. against_seconds: of the same work in another
    program. peak_bytes: arguments, results and temporaries, by the compiler.
    floor_seconds: of the arithmetic alone, as fast as the fastest operation's.
    """

    name: str
    images: int
    seconds: float
    compile_seconds: float | None = None
    gflop: float | None = None
    naive_seconds: float | None = None
    peak_bytes: int | None = None
    against_seconds: float | None = None
    floor_seconds: float | None = None

    def line(self) -> str:
        rate = ratio = memory = compiled = against = floor = ""
        if self.gflop:
            rate = f"{self.gflop / self.seconds:z.1f}"
        if self.naive_seconds is not None:
            ratio = f"{self.naive_seconds / self.seconds:z.2f}"
        if self.peak_bytes is not None:
            memory = f"{self.peak_bytes / 1e6:z.0f} MB"
        if self.compile_seconds is not None:
            compiled = f"{self.compile_seconds:z.1f} s"
        if self.against_seconds is not None:
            against = f"  pytorch/this {self.against_seconds / self.seconds:z.2f}"
        if self.floor_seconds is not None:
            floor = f"  floor {format_seconds(self.floor_seconds)}"
        return (
            f"{self.name:28}{format_seconds(self.seconds):>10}"
            f"{self.images / self.seconds:z10.2f}{rate:>9}{ratio:>11}"
            f"{memory:>9}{compiled:>9}{against}{floor}"
        )


class Sides(NamedTuple):
    """A jitted function, and the same in XLA's own implementations."""

    chosen: Callable
    naive: Callable


def sides(function: Callable, wishes: Mapping[str, str] | None = None, **jit) -> Sides:
    """Jits `function` with `wishes` and with dispatch.NAIVE, with options `jit`."""
    both = (wishes or {}, dispatch.NAIVE)
    return Sides(*(jax.jit(dispatch.wishes(**w)(function), **jit) for w in both))


def measure(
    name: str,
    functions: Sides,
    arguments: Callable[[], tuple],
    images: int,
    *,
    repeats: int = 3,
    naive: bool = True,
) -> Row:
    """The time of `functions.chosen(*arguments())`, which computes `images` images.

    Each run gets new arguments, as donated ones are consumed. naive: also run
    `functions.naive` once; its operations are counted in any case.
    """
    seconds, compiling, compiled = _clock(functions.chosen, arguments, repeats)
    naive_seconds = _clock(functions.naive, arguments, 1)[0] if naive else None
    memory = compiled.memory_analysis()
    peak = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )
    gflop = arithmetic.needed_flops(functions.naive, *arguments()) / 1e9
    return Row(name, images, seconds, compiling, gflop, naive_seconds, peak)


def compile_timed(jitted, arguments: tuple, options: Mapping | None = None):
    """(the compiled function, seconds of compiling) for arguments or their shapes."""
    start = time.perf_counter()
    compiled = jitted.lower(*arguments).compile(compiler_options=options)
    return compiled, time.perf_counter() - start


def _clock(jitted, arguments, repeats: int):
    """(median seconds, seconds of compiling, the compiled function)."""
    compiled, compiling = compile_timed(jitted, arguments())
    return median_seconds(compiled, repeats, arguments), compiling, compiled


def median_seconds(
    function: Callable,
    repeats: int,
    arguments: Callable[[], tuple] = tuple,
    wait: Callable[[Any], Any] = jax.block_until_ready,
) -> float:
    """Median time of function(*arguments()), after one run to warm up.

    wait: returns once the device has computed what it is given.
    """
    times = []
    for _ in range(repeats + 1):
        inputs = arguments()
        wait(inputs)
        start = time.perf_counter()
        wait(function(*inputs))
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def format_seconds(seconds: float) -> str:
    """12.3 s, 12.3 ms or 12.3 us."""
    for scale, unit in ((1, "s"), (1e-3, "ms")):
        if seconds >= scale:
            return f"{seconds / scale:z.3g} {unit}"
    return f"{seconds / 1e-6:z.3g} us"
