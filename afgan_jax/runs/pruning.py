"""Removing checkpoints of a run that is not being trained, by rule."""

import math
from collections.abc import Callable
from typing import NamedTuple

from afgan_jax.runs import held, measurements, retention, run_directory, step_copy


class Rule(NamedTuple):
    """The newest `keep` stay, and one every so many thousand images (None: no more).

    So do the best by each metric; is_lower(metric): whether less of it is better.
    """

    keep: int
    keep_every_kimg: float | None
    is_lower: Callable[[str], bool]


class Plan(NamedTuple):
    """{step that stays: the metrics by which it is best}, and the steps that go.

    damaged: steps that stay as they are, and do not count.
    """

    kept: dict[int, list[str]]
    removed: list[int]
    damaged: list[int]


def plan(path: str, rule: Rule) -> Plan:
    """What `prune` would do. Raises ValueError if there is no such run."""
    with run_directory.Run.open(path) as run:
        run.check_has(None)
        return _plan(run, rule)


def prune(path: str, rule: Rule) -> Plan:
    """Removes what the rule does not keep, once all that stays was read and is sound.

    Raises ValueError if there is no such run, or another process trains it.
    """
    with run_directory.Run.open(path) as run:
        run.check_has(None)
        place = run.location
    config = (place.folder / "config.json").read_text()
    with held.Held(place, config) as holding, run_directory.Run.open(path) as run:
        found = _plan(run, rule)
        for step in found.removed:
            holding.check()
            place.kept.remove(place.checkpoints, step)
    return found


def _plan(run: run_directory.Run, rule: Rule) -> Plan:
    batch = run.config.get("updates", {}).get("batch_size")
    if batch is None and rule.keep_every_kimg is not None:
        raise ValueError(f"{run.location} does not say its batch: leave out the kimg")
    every = rule.keep_every_kimg
    newest = retention.make_retention(batch or 1, keep=rule.keep, keep_every_kimg=every)
    steps, sound, damaged = run.steps(), set(), []
    while True:
        known = retention.Best(run.path / step_copy.BEST).steps()
        best = {m: step for m, step in known.items() if step in steps}
        best |= _best(run, steps, rule.is_lower)
        kept = {*retention.kept(steps, newest), *best.values()}
        unread = sorted(kept - sound)
        bad = [step for step in unread if step_copy.examine(run.location, step)[1]]
        sound |= kept
        if not bad:
            break
        damaged += bad
        steps = [step for step in steps if step not in bad]
    by_step = {s: [m for m, of in best.items() if of == s] for s in sorted(kept)}
    return Plan(by_step, [s for s in steps if s not in kept], sorted(damaged))


def _best(
    run: run_directory.Run, steps: list[int], is_lower: Callable[[str], bool]
) -> dict[str, int]:
    """The best of these steps by metric, of those that were measured."""
    found: dict[str, dict[int, float]] = {}
    for step in steps:
        for metric, results in measurements.of_step(run.path, step).items():
            value = next(iter(results.values()), None)
            if isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(metric, {})[step] = value
    return {
        metric: (min if is_lower(metric) else max)(values, key=values.__getitem__)
        for metric, values in found.items()
    }
