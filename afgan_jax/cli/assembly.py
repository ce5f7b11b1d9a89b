"""What a training consists of, made from the settings that a config and flags give."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from afgan_jax import cli


def load(
    spec: str, workdir: str | os.PathLike, overrides: dict, source: str | None
) -> dict:
    """The settings of the run in workdir, those of a transfer if it is or was one."""
    import jax

    from afgan_jax.runs import config, run_directory
    from afgan_jax.training import init_from

    settings = config.load(spec, overrides, cli.schema())
    for line in cli.fill_in(settings):
        if jax.process_index() == 0:
            print(line, file=sys.stderr)
    transferred = source is not None
    if run_directory.Run.has_begun(workdir):
        transferred = (Path(workdir).expanduser() / init_from.RECORD).exists()
    return init_from.adapt(settings, overrides) if transferred else settings


def build(settings: dict):
    """(setup, program) of the training that these settings describe."""
    from afgan_jax.augment import control
    from afgan_jax.runs import config
    from afgan_jax.training import kernels, loop, samples, step

    with config.naming("train"):
        loop.check(**settings["train"])
    samples.check(**settings["pictures"])
    G, D = cli.make_networks(settings)
    augment = control.make_control(**settings["augment"])
    setup = step.make_setup(G, D, augment=augment, **settings["losses"])
    updates = settings["updates"]
    kernel = kernels.usable(updates["kernel"])
    return setup, step.make_program(setup, **updates | {"kernel": kernel})


def begin(workdir: str | os.PathLike, settings: dict, program, source, partial: bool):
    """(state, record) to begin with; None if the run has begun or starts from noise."""
    import jax

    from afgan_jax.runs import run_directory
    from afgan_jax.training import init_from

    if source is None:
        return None
    is_main = jax.process_index() == 0
    if run_directory.Run.has_begun(workdir):
        if is_main:
            print(f"{workdir} goes on; --init-from is ignored", file=sys.stderr)
        return None
    found = init_from.find(source)
    state, record = init_from.begin(found, settings, program, partial=partial)
    if is_main:
        print(record, end="", file=sys.stderr)
    return state, record


def make_evaluate(metrics: list, settings: dict, archive, cache_dir: Path):
    """evaluate(G_ema) of these metrics; see metrics.evaluation."""
    if not metrics:
        return lambda G_ema: iter(())
    import functools

    import jax

    from afgan_jax.data import sets
    from afgan_jax.metrics import (
        cache,
        evaluation,
        evaluator,
        samples,
        sharding,
        weights,
    )
    from afgan_jax.networks import generator

    data = settings["data"] | {"mirror": False}

    @functools.cache
    def reals():
        return samples.of_archive(sets.open_set(cache_dir=cache_dir, **data))

    exact = generator.changed(settings["generator"], dtype="float32")
    G = generator.make_generator(**exact)
    fakes = samples.of_generator(G, {}, archive.labels, jax.random.key(0))
    over = sharding.BatchSharding.over(settings["metrics"]["batch"])
    store = cache.Store(weights.cache_folder() / "metrics")
    subject = evaluator.Subject(over, reals, fakes, {}, store)
    return evaluation.make_evaluate(metrics, subject)


def introduce(archive) -> Iterator[str]:
    """Lines on the set, its labels, used or not, and the devices."""
    import jax

    from afgan_jax.data import labels

    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    size = f"{archive.resolution} pixels"
    yield f"{archive.name}: {len(archive)} images of {size}; {devices}"
    if archive.label_dim:
        yield labels.describe(archive.labels, archive.class_names)
    else:
        warning = labels.unused(archive.files, archive.images)
        yield from () if warning is None else (warning,)


def check_data(archive, settings: dict) -> None:
    """Raise ValueError unless both networks fit the images and labels of the set."""
    from afgan_jax.runs import config

    facts = {
        "generator.synthesis.resolution": archive.resolution,
        "generator.synthesis.img_channels": archive.channels,
        "generator.mapping.c_dim": archive.label_dim,
        "discriminator.resolution": archive.resolution,
        "discriminator.img_channels": archive.channels,
        "discriminator.c_dim": archive.label_dim,
    }
    misfits = {
        k: fact for k, fact in facts.items() if config.value(settings, k) != fact
    }
    if not misfits:
        return
    name = next(iter(misfits))
    fix = " ".join(f"--config.{key}={fact}" for key, fact in misfits.items())
    if name.endswith("c_dim") and not archive.label_dim:
        fix += ", or --config.data.use_labels=True if the set has labels"
    raise ValueError(
        f"{name}={config.value(settings, name)} does not fit the data"
        f" {archive.name!r}: pass {fix}"
    )
