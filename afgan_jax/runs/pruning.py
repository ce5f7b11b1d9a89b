"""Removing checkpoints of a run that is not being trained, by rule."""

from typing import NamedTuple

from afgan_jax.runs import held, retention, run_directory
from afgan_jax.runs import step_copy as copies


class Plan(NamedTuple):
    """{step that stays: the metrics by which it is best}, and the steps that go."""

    kept: dict[int, list[str]]
    removed: list[int]


def plan(path: str, keep: int, keep_every_kimg: float | None = None) -> Plan:
    """What would be kept: see retention.make_retention. ValueError if it is no run."""
    with run_directory.Run.open(path) as run:
        return _plan(run, keep, keep_every_kimg)


def prune(path: str, keep: int, keep_every_kimg: float | None = None) -> Plan:
    """Removes what is not kept. The best by each metric always stay.

    Raises ValueError if there is no such run, or another process trains it.
    """
    with run_directory.Run.open(path) as run:
        place = run.location
        place.check_has(None)
    config = (place.folder / "config.json").read_text()
    with held.Held(place, config), run_directory.Run.open(path) as run:
        found = _plan(run, keep, keep_every_kimg)
        for step in found.removed:
            place.kept.remove(place.checkpoints, step)
    return found


def _plan(run: run_directory.Run, keep: int, keep_every_kimg: float | None) -> Plan:
    batch = run.config.get("updates", {}).get("batch_size")
    if batch is None and keep_every_kimg is not None:
        raise ValueError(f"{run.location} does not say its batch: leave out the kimg")
    rule = retention.make_retention(
        batch or 1, keep=keep, keep_every_kimg=keep_every_kimg
    )
    best = retention.Best(run.path / copies.BEST)
    steps = run.steps()
    kept = retention.kept(steps, rule, best)
    named = best.steps().items()
    whys = {step: [metric for metric, s in named if s == step] for step in kept}
    return Plan(whys, [step for step in steps if step not in kept])
