"""The training loop: batches in, a run directory out."""

import collections
import functools
import math
from collections.abc import Callable, Iterator

import jax
import numpy as np

from afgan_jax import jax_settings, ranges
from afgan_jax.training import outputs, rescue
from afgan_jax.training import preemption as stops
from afgan_jax.training import report as reports
from afgan_jax.training import state as states
from afgan_jax.training import status as statuses
from afgan_jax.training import step as steps
from afgan_jax.training import trace as traces
from afgan_jax.training import watchdog as watchdogs

AHEAD = 2  # batches copied to the devices before they are needed


def train(
    run,
    program: steps.Program,
    batches: Callable[[int], Iterator[dict[str, np.ndarray]]],
    snapshots,
    evaluate: Callable[[dict], Iterator] = lambda G_ema: iter(()),
    *,
    batch_size: int,
    profile: bool = False,
    checkpoint_minutes: float | None = None,
    stall_minutes: float = 0,
    status: statuses.Status = statuses.NOWHERE,
    total_kimg: float = 25000.0,
    tick_kimg: float = 4.0,
    checkpoint_ticks: int = 50,
    image_ticks: int = 50,
    seed: int = 0,
) -> states.TrainState:
    """Train until `total_kimg`, resuming from the run's newest checkpoint.

    `batches(step)` yields this process's share of each step's batch, from that step on.
    Each tick of `tick_kimg` reports; a checkpoint and a sample grid are written every
    `checkpoint_ticks` and `image_ticks`, and at the end; a checkpoint also when there
    was none for `checkpoint_minutes`. `evaluate(G_ema)` yields results of metrics at
    every checkpoint of a tick but the first one's (see metrics.evaluation). `profile`
    writes a trace of a few steps to the run's folder profile (see `trace`).
    `stall_minutes` without a step end the process (see `watchdog`). When asked to stop,
    saves a checkpoint and returns (see `preemption`). After an error it saves one, if
    it can, and raises errors.Stopped, or OSError if the disk is full.
    """
    check(total_kimg=total_kimg, tick_kimg=tick_kimg, seed=seed)
    check(checkpoint_ticks=checkpoint_ticks, image_ticks=image_ticks)
    key, init_key = keys(program, seed)
    state = restore(run, program, init_key)
    index, nimg = (int(x) for x in jax.device_get((state.step, state.nimg)))
    total = int(total_kimg * 1000)
    interval = max(phase.interval for phase in program.phases)
    if profile:
        left = math.ceil((total - nimg) / batch_size)
        traces.check(
            tick_kimg=tick_kimg, batch_size=batch_size, interval=interval, left=left
        )
    trace = traces.Trace(run.path / "profile" if profile else None, interval, index)
    report = reports.Report(run, total, nimg)
    watchdog = watchdogs.Watchdog(stall_minutes, compiling=interval)
    intervals = checkpoint_ticks, image_ticks
    kept = outputs.Outputs(
        run, report, snapshots, evaluate, total, *intervals, status, watchdog
    )
    kept.begin(state, nimg)
    try:
        with (
            stops.Stop(program, checkpoint_minutes) as stop,
            rescue.saving(run, lambda: state),
            watchdog,
        ):
            feed = prefetch(batches(index), functools.partial(place, program))
            tick = tick_kimg * 1000
            next_tick = (nimg // tick + 1) * tick  # resumed or not
            while nimg < total and not stop.is_due():
                if stop.must_save:
                    kept.save(state, index, nimg, stop)
                batch = next(feed)
                room = math.ceil((min(next_tick, total) - nimg) / batch_size)
                with trace.step(index, room, state):
                    state, stats = program.step(index, state, batch, key)
                state = stop.end_step(state, stats)
                trace.end_step(index, state, report)
                report.add(stats)
                watchdog.end_step()
                index, nimg = index + 1, nimg + batch_size
                if nimg < next_tick and nimg < total and index > 1:
                    continue
                if index > 1:  # the first iteration is a tick of its own
                    next_tick += tick
                kept.end_tick(state, index, nimg, stop)
            kept.end(state, index, nimg)  # while one signal does not interrupt it
    finally:
        with report.optional("profile"):
            trace.close()
        report.close()
    return state


def check(**settings: float) -> None:
    """Raises SettingError for a setting of `train` that is out of range."""
    ranges.check("", **settings)


def keys(program: steps.Program, seed: int) -> tuple[jax.Array, jax.Array]:
    """Keys of the training and of the initial state, on all devices."""
    split = jax.jit(
        lambda: tuple(jax.random.split(jax_settings.key(seed))),
        out_shardings=program.replicated,
    )
    return split()


def restore(run, program: steps.Program, key: jax.Array) -> states.TrainState:
    """The run's newest checkpoint on the program's devices; a fresh state if none."""
    if run.latest_step() is None:
        return program.init(key)
    shapes = states.to_tree(jax.eval_shape(program.init, key))
    _, tree = run.restore(states.abstract(shapes, program.replicated))
    return states.TrainState(**tree)


def place(program: steps.Program, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """This process's rows of a batch as part of the global batch on the devices."""
    return {
        name: jax.make_array_from_process_local_data(
            program.batch_sharding[name], array
        )
        for name, array in batch.items()
    }


def prefetch(batches: Iterator[dict], placed: Callable[[dict], dict]) -> Iterator[dict]:
    """Yields `placed(batch)` of each batch, started AHEAD batches early.

    Copies to devices and steps are asynchronous, so batches are decoded and copied
    while steps run.
    """
    waiting = collections.deque()
    for batch in batches:
        waiting.append(placed(batch))
        if len(waiting) > AHEAD:
            yield waiting.popleft()
    yield from waiting
