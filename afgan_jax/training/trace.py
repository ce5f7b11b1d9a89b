"""A trace of a few steps on the devices and the host, by JAX's profiler.

The steps lie in one tick, so that they include no report, checkpoint or sample grid;
they come after every phase has run, and so was compiled; and they include an iteration
in which all phases run, if their intervals divide one another.
"""

import contextlib
import time
from pathlib import Path

import jax

from afgan_jax import errors
from afgan_jax.training import report as reports

STEPS = 5


class Trace:
    """Traces STEPS steps of process 0, once."""

    def __init__(self, folder: Path | None, interval: int, first: int):
        """Into `folder`; None disables tracing.

        `interval` is the longest of a phase, `first` the first step of this process.
        """
        is_main = jax.process_index() == 0
        self._folder = folder if is_main else None
        self._interval, self._first = interval, first
        self._last: int | None = None  # step of the trace, once it has begun
        self._is_open = False

    def step(self, index: int, room: int, state) -> contextlib.AbstractContextManager:
        """The context for step `index`, with `room` steps before the tick ends."""
        waits = self._folder is not None and self._last is None
        has_run = index - self._first > self._interval
        if waits and has_run and is_window(index, room, self._interval):
            jax.block_until_ready(state)  # earlier steps may still be queued
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # tracing Python calls would slow the steps
            jax.profiler.start_trace(
                self._folder, create_perfetto_trace=True, profiler_options=options
            )
            self._last, self._is_open = index + STEPS - 1, True
        if not self._is_open:
            return contextlib.nullcontext()
        return jax.profiler.StepTraceAnnotation("train", step_num=index)

    def end_step(self, index: int, state, report: reports.Report) -> None:
        """Ends the trace after its last step; reports how to open it."""
        if not self._is_open or index != self._last:
            return
        jax.block_until_ready(state)
        ended = time.monotonic()
        self.close()
        files = self._folder.glob("plugins/profile/*/perfetto_trace.json.gz")
        file = max(files, key=lambda path: path.stat().st_mtime)
        report.say(
            f"profile: traced {STEPS} steps from {index - STEPS + 1}; open {file} at"
            " https://ui.perfetto.dev, or pip install xprof and run"
            f" xprof --logdir={self._folder}"
        )
        report.exclude(time.monotonic() - ended)

    def close(self) -> None:
        """Ends the trace if it is still running."""
        if self._is_open:
            self._is_open = False
            jax.profiler.stop_trace()


def check(*, tick_kimg: float, batch_size: int, interval: int, left: int) -> None:
    """Raises ValueError if a run of `left` more steps is too short for a trace."""
    if tick_kimg * 1000 < STEPS * batch_size:
        least = STEPS * batch_size / 1000
        why = f"is too short for a profile of {STEPS} steps: make it {least:g} or more"
        raise errors.SettingError("train.tick_kimg", tick_kimg, why)
    need = 2 * interval + 2 * STEPS
    if left < need:
        raise ValueError(
            f"a profile takes {need} steps, since all phases must run first, and"
            f" {left} are left: raise train.total_kimg"
        )


def is_window(index: int, room: int, interval: int) -> bool:
    """Whether STEPS steps from `index` fit in and hold a multiple of `interval`."""
    return room >= STEPS and -index % interval < STEPS
