"""The networks of a run's checkpoints."""

import os
from collections.abc import Sequence
from typing import Any

from afgan_jax.runs import class_names, location, run_directory, set_records
from afgan_jax.sources import source


def split_step(text: str) -> tuple[str, int | None]:
    """(RUN, STEP) of "RUN@STEP"; (RUN, None) of a path alone."""
    path, at, step = text.rpartition("@")
    if not (at and step.isdecimal()) or location.of(text).exists():
        return text, None
    return path, int(step)


def find(text: str, parts: Sequence[str]) -> source.Source:
    """The newest undamaged checkpoint of RUN, or that of RUN@STEP.

    Raises ValueError if there is no such run or step, or it is of another version.
    """
    path, step = split_step(text)
    with run_directory.Run.open(path) as run:
        config, where = run.config, f"{run.location}/config.json"
        names, empty = class_names.read(run.path), set_records.empty_classes(run.path)
        run.check_has(step)

    def read(abstract: dict[str, Any]) -> source.Weights:
        with run_directory.Run.open(path) as opened:
            found, tree = opened.restore(abstract, step, partial=True)
        return source.Weights(tree, f"{path}@{found}", _facts(path, config, found))

    settings = source.complete(config, parts, where)
    return source.Source(path, settings, tuple(parts), read, names, empty)


def _facts(path: str, config: dict[str, Any], step: int) -> dict[str, Any]:
    """What is known of a checkpoint; of folders on this machine, their names alone."""
    training = {k: dict(v) for k, v in config.items() if k not in source.SCHEMA}
    if "data" in training:
        training["data"]["path"] = os.path.basename(str(training["data"].get("path")))
    batch = training.get("updates", {}).get("batch_size")
    kimg = {} if batch is None else {"kimg": step * batch / 1000}
    origin = f"{os.path.basename(path.rstrip('/'))}@{step}"
    return {"step": step, "origin": origin, "training": training} | kimg
