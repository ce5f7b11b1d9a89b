"""Progress of a run: statistics by tick, on the terminal, in stats.jsonl and events.

What cannot be told is no reason to stop: the training goes on, and says so if it can.
"""

import contextlib
import itertools
import math
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import tqdm

from afgan_jax import errors
from afgan_jax.training import alarms, events

SHOWN = {
    "G": "Loss/G/loss",
    "D": "Loss/D/loss",
    "real": "Loss/scores/real",
    "fake": "Loss/scores/fake",
    "r1": "Loss/r1_penalty",
    "p": "Progress/augment",
    "device GB": "Resources/device_peak_gb",
}


class Report:
    """Collects device statistics without waiting for them; reports once a tick."""

    def __init__(self, run, total_nimg: int, nimg: int):
        self.run = run
        self.total_nimg = total_nimg
        self.started = self.tick_started = time.monotonic()
        self.tick_nimg = nimg
        self.tick = run.truncate_stats(nimg)  # stats.jsonl has one line a tick
        self._pending: list[dict] = []
        self._alarms: dict[str, alarms.Status] = {}
        self._before: dict[str, float] = {}  # means of the last tick
        self._has_compiled = False
        self._is_main = jax.process_index() == 0
        self._events = events.Events(Path(run.path) / "events", nimg)
        self._failed: set[str] = set()
        self._screen, self._bar = Screen(sys.stderr), None
        if self._is_main and self._screen.is_terminal:
            self._bar = tqdm.tqdm(
                total=total_nimg / 1000,
                initial=nimg / 1000,
                unit="kimg",
                file=self._screen,
                bar_format="{percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} kimg "
                "[{elapsed}{postfix}]",
            )

    def add(self, stats: list[dict]) -> None:
        """Keep the statistics of one iteration, still on the device."""
        self._pending += stats

    def end_tick(self, nimg: int, progress: dict[str, float]) -> dict[str, float]:
        """Read the tick's statistics back, write them and `progress`; means by name."""
        stats = summarize(jax.device_get(self._pending))
        self._pending = []
        now = time.monotonic()
        seconds, images = now - self.tick_started, nimg - self.tick_nimg
        rate = images / max(seconds, 1e-9)
        left = (self.total_nimg - nimg) / max(rate, 1e-9)
        single = {
            "Progress/tick": float(self.tick),
            "Progress/kimg": nimg / 1000,
            "Timing/total_sec": now - self.started,
            "Timing/sec_per_tick": seconds,
            "Timing/sec_per_kimg": 1000 / max(rate, 1e-9),
            "Timing/images_per_sec": rate,
            "Resources/cpu_mem_gb": _peak_gigabytes(),
        }
        single |= device_memory(jax.local_devices()) | progress
        means = {name: line["mean"] for name, line in stats.items()} | single
        self._alarms, warnings = alarms.watch(self._alarms, means, self._before)
        self._before = means
        single |= {f"Alarm/{name}": one.on for name, one in self._alarms.items()}
        lines = stats | {
            name: {"num": 1, "mean": float(value), "std": 0.0}
            for name, value in single.items()
        }
        if self._is_main:
            with self.optional("stats.jsonl"):
                self.run.append_stats({"nimg": nimg} | lines)
            with self.optional("events"):
                scalars = {name: line["mean"] for name, line in lines.items()}
                texts = {"alarms": "  \n".join(warnings)} if warnings else {}
                self._events.write(nimg, scalars=scalars, texts=texts)
            self._show(nimg, rate, left, means)
            for text in warnings:
                self.say(text)
        self.tick_nimg = nimg
        self.tick += 1
        self._has_compiled = True
        self.restart_clock()
        return means

    def restart_clock(self) -> None:
        """Exclude what happened since the last step from the next tick's speed."""
        self.tick_started = time.monotonic()

    def exclude(self, seconds: float) -> None:
        """Exclude this time from the tick's speed."""
        self.tick_started += seconds

    def say(self, text: str) -> None:
        """Print one line of plain text, above the progress bar if there is one."""
        if self._bar is not None:
            self._bar.write(text, file=self._screen)
        if self._is_main and not self._screen.is_terminal:
            tell(text)

    @contextlib.contextmanager
    def optional(self, what: str, kind: type[Exception] = Exception) -> Iterator[None]:
        """Training goes on whatever fails in the block; the first time it is told.

        But not without the other processes of a job.
        """
        try:
            yield
        except kind as error:
            if jax.process_count() > 1 and errors.may_be_of_peers(error):
                raise
            if what not in self._failed:
                self._failed.add(what)
                reason = errors.in_one_line(error)
                self.say(f"{what} failed, training continues: {reason}")

    def image(self, name: str, path: Path | None, nimg: int) -> None:
        """Show the PNG file at `path` in TensorBoard; nothing if `path` is None."""
        if path is not None and self._is_main:
            self._events.write(nimg, images={name: path})

    def metric(self, values: dict[str, float], nimg: int) -> None:
        """Show the results of a metric."""
        found = "  ".join(f"{key} {value:z.4g}" for key, value in values.items())
        self.say(f"kimg {nimg / 1000:<z8.2f} {found}")
        if self._is_main:
            scalars = {f"Metrics/{key}": value for key, value in values.items()}
            with self.optional("events"):
                self._events.write(nimg, scalars=scalars)

    def close(self) -> None:
        with self.optional("events"):
            self._events.close()
        if self._bar is not None:
            self._bar.close()

    def _show(self, nimg: int, rate: float, left: float, means: dict) -> None:
        speed = "compiled"
        if self._has_compiled:
            speed = f"{rate:z.1f} img/s  {1000 / rate:z.1f} s/kimg"
            speed += f"  left {format_time(left)}"
        shown = [f"{k} {means[n]:z.3g}" for k, n in SHOWN.items() if n in means]
        text = "  ".join([speed, *shown])
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(nimg / 1000 - self._bar.n)
        if not self._screen.is_terminal:
            self.say(f"tick {self.tick:<4d} kimg {nimg / 1000:<z8.2f} {text}")


class Screen:
    """A stream to draw a bar on; once that fails, it is no terminal any more."""

    def __init__(self, stream):
        self._stream = stream
        self.is_terminal = stream is not None and stream.isatty()

    def write(self, text: str) -> None:
        self._attempt(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._attempt(lambda: self._stream.flush())

    def fileno(self) -> int:
        return self._stream.fileno()

    def _attempt(self, action) -> None:
        if self.is_terminal:
            try:
                action()
            except (OSError, ValueError):
                self.is_terminal = False


def tell(text: str) -> None:
    """Prints a line on standard error, or else on standard output, or else nowhere."""
    for stream in (sys.stderr, sys.stdout):
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
            if stream is not None:
                print(text, file=stream, flush=True)
                return


def summarize(sums: list[dict]) -> dict[str, dict[str, float]]:
    """{name: {"num", "mean", "std"}} of {name: [count, sum, sum of squares]}."""
    totals: dict[str, np.ndarray] = {}
    for stats in sums:
        for name, value in stats.items():
            value = np.asarray(value, np.float64)
            totals[name] = totals.get(name, np.zeros(3)) + value
    out = {}
    for name, (count, total, squares) in sorted(totals.items()):
        mean = total / count
        std = math.sqrt(max(squares / count - mean * mean, 0.0))
        out[name] = {"num": int(count), "mean": float(mean), "std": std}
    return out


def format_time(seconds: float) -> str:
    """1d 02h, 3h 04m, 5m 06s or 7s."""
    seconds = int(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
    for (unit, name), (rest, rest_name) in itertools.pairwise(units):
        if seconds >= unit:
            return f"{seconds // unit}{name} {seconds % unit // rest:02d}{rest_name}"
    return f"{seconds}s"


def device_memory(devices) -> dict[str, float]:
    """The peak memory, in GB, of the fullest device; {} on platforms without counts."""
    stats = [device.memory_stats() or {} for device in devices]
    peaks = [s["peak_bytes_in_use"] for s in stats if "peak_bytes_in_use" in s]
    return {"Resources/device_peak_gb": max(peaks) / 1e9} if peaks else {}


def _peak_gigabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
