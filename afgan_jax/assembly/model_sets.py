"""The image sets and discriminators that belong to models, runs and configs."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from afgan_jax import errors, jax_settings, places
from afgan_jax.assembly import settings as assembled
from afgan_jax.data import archive as archives
from afgan_jax.data import files, identity, paths, sets
from afgan_jax.data import labels as tables
from afgan_jax.model import Model
from afgan_jax.networks import discriminator
from afgan_jax.runs import run_directory, set_records
from afgan_jax.sources import find as sources
from afgan_jax.sources import run as runs

_log = logging.getLogger(__name__)


def run_of(model: Model):
    """(the run, the step) that a model comes from; None for both of a snapshot."""
    path, step = runs.split_step(model.source)
    return (None, None) if step is None else (run_directory.Run.open(path), step)


def open_set(run, **changes):
    """The set that a run was trained on, each image once; a warning if it changed."""
    settings = run.config["data"] | {"mirror": False} | changes
    found = sets.open_set(cache_dir=run.location.caches, **settings)
    differing = unlike(run, identity.of_archive(found))
    if differing:
        _warn(f"{found.files.path} is not the set trained on: {', '.join(differing)}")
    return found


def unlike(run, facts: Mapping[str, Any]) -> list[str]:
    """How the set of these facts differs from the last one the run was trained on."""
    records = set_records.read(run.path)
    return identity.differences(records[-1], facts) if records else []


@functools.cache
def _warn(text: str) -> None:
    """Tells each text once."""
    _log.warning("%s", text)


def has_labels(data: str) -> bool:
    """Whether the set has labels."""
    return tables.read_table(files.Files(paths.resolve(data))) is not None


def labels_of(
    model: Model, data: str | None = None
) -> Int[np.ndarray, "M"] | Float[np.ndarray, "M c_dim"]:
    """The classes or vectors of a set, by default of that the model was trained on.

    Raises ValueError if there are none, or not of the model's kind.
    """
    run, _ = (None, None) if data is not None else run_of(model)
    path = "of the run" if run is None else run.config["data"]["path"]
    path = path if data is None else data
    try:
        if data is not None:
            found = archives.Archive.open(data, use_labels=True).labels
        elif run is not None:
            found = open_set(run, use_labels=True).labels
        else:
            raise ValueError("a snapshot does not say on which set it was trained")
    except (ValueError, OSError) as error:
        raise ValueError(
            f"labels are drawn as in the set {path}, but: {error}"
        ) from None
    if found.dim != model.c_dim:
        raise ValueError(
            f"labels of {path} are {found.dim} numbers, the generator takes"
            f" {model.c_dim}"
        )
    return found.values


def discriminator_of_run(run: str, step: int | None = None):
    """(D, the run's set, {name: function of (images, labels)}) of a checkpoint."""
    path, at = runs.split_step(run)
    step = at if step is None else step
    found = sources.find(path if step is None else f"{path}@{step}", ("D",))
    D, weights = found.network("D"), found.load("D")
    opened = open_set(run_directory.Run.open(path))
    name = f"step {weights.facts['step']}"
    return D, opened, {name: _logits(D, weights.tree["D"])}


def untrained_discriminators(
    config: str, changes: Mapping[str, Any] | None, seeds: Sequence[int]
):
    """(D, the config's set, {name: function of (images, labels)}), one a seed."""
    settings = assembled.load(config, changes)
    with errors.naming("discriminator"):
        D = discriminator.make_discriminator(**settings["discriminator"])
    data = settings["data"] | {"mirror": False}
    opened = sets.open_set(
        cache_dir=(places.cache() or places.temporary()) / "sets", **data
    )
    initialize = jax.jit(D.initialize)  # compiled once, for all seeds
    networks = {f"seed {s}": initialize(jax_settings.key(s)) for s in seeds}
    return D, opened, {name: _logits(D, v) for name, v in networks.items()}


def _logits(D, variables) -> Callable:
    apply = jax.jit(D.apply)
    return lambda images, c: apply(variables, images, c if D.c_dim else None)


def spread_over(archive, count: int, batch: int, group: int | None) -> list[tuple]:
    """Batches of (images in [-1, 1], labels), spread evenly over a set.

    Of a set of fewer than `count` images, as many as make whole batches. batch: of a
    set that has fewer, all images but for a part of a group of D's minibatch_stddev.
    """
    if len(archive) < batch:
        batch = len(archive) - len(archive) % min(group or 1, len(archive))
    count = min(count, len(archive)) // batch * batch
    numbers = np.linspace(0, len(archive) - 1, count).astype(int)
    images, labels = (np.stack(a) for a in zip(*(archive[int(i)] for i in numbers)))
    images = images.astype(np.float32) / 127.5 - 1
    parts = count // batch
    return list(zip(np.split(images, parts), np.split(labels, parts)))
