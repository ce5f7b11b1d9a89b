"""What a training consists of, made from the settings that a config and flags give."""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from afgan_jax import cli, errors
from afgan_jax.cli import flags


def load(
    config: flags.Configuration, workdir: str | os.PathLike, source: str | None = None
) -> dict:
    """The settings of the run in workdir, those of a transfer if it is or was one.

    source: what the run begins with, None: noise.
    """
    from afgan_jax.runs import run_directory
    from afgan_jax.training import init_from

    settings = configured(config)
    for line in cli.fill_in(settings):
        _say(line)
    transferred = source is not None
    if run_directory.Run.has_begun(workdir):
        transferred = (Path(workdir) / init_from.RECORD).exists()
    return init_from.adapt(settings, config.changes) if transferred else settings


def configured(config: flags.Configuration) -> dict:
    """All settings of a config, defaults included."""
    from afgan_jax.runs import config as configs

    return configs.load(config.spec, config.changes, cli.schema())


def _say(line: str) -> None:
    import jax

    if jax.process_index() == 0:
        print(line, file=sys.stderr)


def build(settings: dict):
    """(setup, program) of the training that these settings describe."""
    from afgan_jax.augment import control
    from afgan_jax.training import implementations, loop, samples, step

    with errors.naming("train"):
        loop.check(**settings["train"])
    samples.check(**settings["pictures"])
    G, D = cli.make_networks(settings)
    augment = control.make_control(**settings["augment"])
    setup = step.make_setup(G, D, augment=augment, **settings["losses"])
    updates = settings["updates"]
    usable = implementations.usable(updates["implementation"])
    return setup, step.make_program(setup, **updates | {"implementation": usable})


def train(
    settings: dict,
    workdir: str | os.PathLike,
    source: str | None = None,
    partial: bool = False,
    profile: bool = False,
) -> None:
    """Opens all that the settings name and trains until it is done.

    A run that has no checkpoint yet begins with the weights of `source`; partial: with
    those that fit.
    """
    from afgan_jax.data import sets
    from afgan_jax.metrics import evaluation
    from afgan_jax.runs import retention, run_directory
    from afgan_jax.training import compilation_cache, loop, samples

    schema = cli.schema()
    setup, program = build(settings)
    batch_size = settings["updates"]["batch_size"]
    keep = retention.make_retention(batch_size, **settings["checkpoints"])
    metrics = evaluation.parse(**settings["metrics"])
    # A hidden folder: a run directory may hold it before the run begins.
    cache = run_directory.Run.check(workdir, settings, schema) / ".cache"
    beginning = begin(workdir, settings, program, source, partial)
    archive = sets.open_set(cache_dir=cache, **settings["data"])
    check_data(archive, settings)
    for line in introduce(archive):
        _say(line)
    evaluate = make_evaluate(metrics, settings, archive, cache)
    with run_directory.Run.create_or_open(
        workdir, settings, schema, retention=keep
    ) as run:
        compilation_cache.keep(cache / "compiled")
        write_facts(run, setup.G, archive)
        save_beginning(run, beginning)
        del beginning
        loop.train(
            run,
            program,
            make_batches(archive, batch_size, settings["train"]["seed"]),
            samples.Snapshots(run.path, setup.G, archive, **settings["pictures"]),
            evaluate,
            batch_size=batch_size,
            profile=profile,
            **settings["train"],
        )


def write_facts(run, G, archive) -> None:
    """Writes the plan of the layers, and the names of the classes if they have any."""
    import json

    import jax

    from afgan_jax.runs import atomic, run_directory

    if jax.process_index():
        return
    layers = json.dumps(G.synthesis.rows(), indent=2)
    atomic.write(run.path / "plan.json", layers + "\n")
    if archive.class_names is not None:
        names = json.dumps(list(archive.class_names))
        atomic.write(run.path / run_directory.CLASSES, names + "\n")


def make_batches(archive, batch_size: int, seed: int):
    """batches(start_step) of the set, this process's part of each."""
    import jax

    from afgan_jax.data import pipeline

    def batches(start_step):
        return pipeline.batches(
            archive,
            batch_size=batch_size,
            seed=seed,
            start_step=start_step,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )

    return batches


def dry_run(
    settings: dict,
    workdir: str | os.PathLike,
    source: str | None = None,
    partial: bool = False,
) -> None:
    """Prints what the training would consist of and take, without beginning it."""
    import jax

    from afgan_jax.bench import memory
    from afgan_jax.runs import run_directory
    from afgan_jax.training import init_from, transfer

    setup, program = build(settings)
    run_directory.Run.check(workdir, settings, cli.schema())
    lines = memory.report(setup.G, setup.D, program, settings["updates"]["batch_size"])
    if source is not None and not run_directory.Run.has_begun(workdir):
        shapes = init_from.shapes_of(program)
        rows = init_from.check(init_from.find(source), settings, shapes, partial)
        lines = itertools.chain([transfer.table(rows)], lines)
    for line in lines:
        if jax.process_index() == 0:
            print(line, flush=True)


def preview(settings: dict, workdir: str | os.PathLike, p: float | None) -> None:
    """Writes what D would see of the set at strength p, in the run directory.

    p: None for several strengths, or that of a fixed augmentation.
    """
    import jax

    from afgan_jax.augment import control, pipeline
    from afgan_jax.data import sets
    from afgan_jax.runs import run_directory
    from afgan_jax.training import preview

    schema = cli.schema()
    augment = control.make_control(**settings["augment"])
    if augment is None:
        why = "leaves images to D as they are: make it 'ada' or 'fixed' for a preview"
        raise errors.SettingError("augment.mode", "noaug", why)
    cache = run_directory.Run.check(workdir, settings, schema) / ".cache"
    archive = sets.open_set(cache_dir=cache, **settings["data"])
    size = (archive.resolution, archive.resolution)
    pipeline.check_images(augment.multipliers, size, archive.channels)
    with run_directory.Run.create_or_open(workdir, settings, schema) as run:
        path = run.path / "augment.png"
        if jax.process_index() == 0:
            preview.write(path, augment, archive, preview.strengths(augment, p))
            _say(f"wrote {path}")


def begin(workdir: str | os.PathLike, settings: dict, program, source, partial: bool):
    """(state, record) to begin with; None if the run has begun or starts from noise."""
    from afgan_jax.runs import run_directory
    from afgan_jax.training import init_from

    if source is None:
        return None
    if run_directory.Run.has_begun(workdir):
        _say(f"{workdir} goes on; --init-from is ignored")
        return None
    found = init_from.find(source)
    state, record = init_from.begin(found, settings, program, partial=partial)
    _say(record.rstrip("\n"))
    return state, record


def save_beginning(run, beginning) -> None:
    """Saves what `begin` returned as the run's first checkpoint."""
    from afgan_jax.training import init_from

    if beginning is not None:
        init_from.save(run, *beginning)
    elif run.latest_step() is None:  # an earlier try may have left one
        (run.path / init_from.RECORD).unlink(missing_ok=True)


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
    labels = archive.labels[: archive.mirrored]  # each image once, as `reals` has it
    fakes = samples.of_generator(G, {}, labels, jax.random.key(0))
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
    value = config.value(settings, name)
    why = f"does not fit the data {archive.name!r}: pass {fix}"
    raise errors.SettingError(name, value, why)
