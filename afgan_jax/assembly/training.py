"""Training from a config: all that its settings name is opened, made and run."""

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from afgan_jax import errors, image_size, jax_settings, places
from afgan_jax.assembly import introduction, model_sets
from afgan_jax.assembly import settings as assembled
from afgan_jax.augment import control
from afgan_jax.augment import pipeline as augmentation
from afgan_jax.bench import memory
from afgan_jax.data import identity, pipeline, sets
from afgan_jax.metrics import cache, evaluation, evaluator, sharding
from afgan_jax.metrics import samples as drawing
from afgan_jax.networks import generator
from afgan_jax.runs import atomic, class_names, retention, run_directory, set_records
from afgan_jax.runs import config as configs
from afgan_jax.training import (
    compilation_cache,
    hosts,
    implementations,
    init_from,
    loop,
    report,
    samples,
    status,
    step,
    transfer,
)
from afgan_jax.training import preview as previews

Changes = Mapping[str, Any] | None


@jax_settings.fixed()
def train(
    config: str,
    workdir: str | os.PathLike,
    *,
    changes: Changes = None,
    source: str | None = None,
    partial: bool = False,
    profile: bool = False,
    stall_minutes: float = 0,
    status_file: str | os.PathLike | None = None,
) -> bool:
    """Trains the run in workdir until it is done, or is asked to stop; whether it is.

    Call it again to resume. config: a name such as "earth64:t", or a file; changes:
    {"section.name": value} of its settings. source: a run, RUN@STEP or published
    snapshot, with whose weights a new run begins; partial: with those that fit.
    profile: write a trace of a few steps. stall_minutes: without a step, after which
    the process ends; 0: never. status_file: tells a supervisor how the training stands
    (see training.status).
    Raises ValueError, before anything is written, for settings that cannot be.
    """
    told = status.Status(None if status_file is None else places.local(status_file))
    told.write("starting")
    settings = _settings(config, workdir, changes, source)
    setup, program = build(settings)
    batch_size = settings["updates"]["batch_size"]
    keep = retention.make_retention(batch_size, **settings["checkpoints"])
    metrics = evaluation.parse(**settings["metrics"])
    # A hidden folder: a run directory may hold it before the run begins.
    schema = assembled.SCHEMA
    hidden = run_directory.Run.check(workdir, settings, schema).caches
    beginning = _begin(workdir, settings, program, source, partial)
    archive = sets.open_set(cache_dir=hidden, **settings["data"])
    check_data(archive, settings)
    _say("\n".join(introduction.lines(archive)))
    hosts.introduce(batch_size)
    evaluate = _make_evaluate(metrics, settings, archive, hidden)
    with run_directory.Run.create_or_open(
        workdir, settings, schema, retention=keep
    ) as run:
        compilation_cache.keep(hidden / "compiled")
        _write_facts(run, setup.G, archive)
        _compare_sets(run, archive)
        _save_beginning(run, beginning)
        del beginning
        state = loop.train(
            run,
            program,
            _make_batches(archive, batch_size, settings["train"]["seed"]),
            _make_snapshots(run, setup.G, archive, settings["samples"]),
            evaluate,
            batch_size=batch_size,
            profile=profile,
            checkpoint_minutes=keep.minutes,
            stall_minutes=stall_minutes,
            status=told,
            **settings["train"],
        )
    total = int(settings["train"]["total_kimg"] * 1000)
    return int(jax.device_get(state.nimg)) >= total


def dry_run(
    config: str,
    workdir: str | os.PathLike,
    *,
    changes: Changes = None,
    source: str | None = None,
    partial: bool = False,
) -> Iterator[str]:
    """Lines on what the training would consist of and take; nothing is written."""
    settings = _settings(config, workdir, changes, source)
    setup, program = build(settings)
    run_directory.Run.check(workdir, settings, assembled.SCHEMA)
    if source is not None and not run_directory.Run.has_begun(workdir):
        shapes = init_from.shapes_of(program)
        rows = init_from.check(init_from.find(source), settings, shapes, partial)
        yield transfer.table(rows)
    batch_size = settings["updates"]["batch_size"]
    yield from memory.report(setup.G, setup.D, program, batch_size)


@jax_settings.fixed()
def preview(
    config: str,
    workdir: str | os.PathLike,
    p: float | None = None,
    *,
    changes: Changes = None,
) -> Path:
    """Writes what D would see of the set at strength p, in the run directory.

    p: None for several strengths, or that of a fixed augmentation. Returns the file.
    """
    settings = _settings(config, workdir, changes, None)
    augment = control.make_control(**settings["augment"])
    if augment is None:
        why = "leaves images to D as they are: make it 'ada' or 'fixed' for a preview"
        raise errors.SettingError("augment.mode", "noaug", why)
    hidden = run_directory.Run.check(workdir, settings, assembled.SCHEMA).caches
    archive = sets.open_set(cache_dir=hidden, **settings["data"])
    augmentation.check_images(augment.multipliers, archive.size, archive.channels)
    with run_directory.Run.create_or_open(workdir, settings, assembled.SCHEMA) as run:
        path = run.path / "augment.png"
        if jax.process_index() == 0:
            strengths = previews.strengths(augment, p)
            squares = settings["samples"]["squares"]
            previews.write(path, augment, archive, strengths, squares=squares)
    return path


def build(settings: dict):
    """(setup, program) of the training that these settings describe."""
    with errors.naming("train"):
        loop.check(**settings["train"])
    samples.check(**settings["samples"])
    setup = assembled.make_setup(settings)
    updates = settings["updates"]
    dtype = settings["generator"]["synthesis"]["dtype"]
    usable = implementations.usable(updates["implementation"], dtype)
    return setup, step.make_program(setup, **updates | {"implementation": usable})


def check_data(archive, settings: dict) -> None:
    """Raises ValueError unless both networks fit the images and labels of the set."""
    facts = {
        "generator.synthesis.resolution": archive.resolution,
        "generator.synthesis.img_channels": archive.channels,
        "generator.mapping.c_dim": archive.label_dim,
        "discriminator.resolution": archive.resolution,
        "discriminator.img_channels": archive.channels,
        "discriminator.c_dim": archive.label_dim,
    }
    misfits = {
        name: fact
        for name, fact in facts.items()
        if configs.value(settings, name) != fact
    }
    if not misfits:
        return
    name = next(iter(misfits))
    told = {archive.resolution: image_size.setting(archive.size)}
    fix = " ".join(f"{key}={told.get(x, x)}" for key, x in misfits.items())
    if name.endswith("c_dim") and not archive.label_dim:
        fix += ", or data.use_labels=True if the set has labels"
    value = configs.value(settings, name)
    why = f"does not fit the data {archive.name!r}: set {fix}"
    raise errors.SettingError(name, value, why)


def _settings(config: str, workdir, changes: Changes, source: str | None) -> dict:
    settings, lines = assembled.of_run(config, workdir, changes, source)
    for line in lines:
        _say(line)
    return settings


def _say(line: str) -> None:
    if jax.process_index() == 0:
        report.tell(line)


def _begin(workdir, settings: dict, program, source: str | None, partial: bool):
    """(state, record) to begin with; None if the run has begun or starts from noise."""
    if source is None:
        return None
    if run_directory.Run.has_begun(workdir):
        _say(f"{workdir} is resumed; the weights of {source} are not used")
        return None
    found = init_from.find(source)
    state, record = init_from.begin(found, settings, program, partial=partial)
    _say(record.rstrip("\n"))
    return state, record


def _save_beginning(run, beginning) -> None:
    """Saves what `_begin` returned as the run's first checkpoint."""
    if beginning is not None:
        init_from.save(run, *beginning)
    elif run.latest_step() is None:  # an earlier try may have left one
        (run.path / init_from.RECORD).unlink(missing_ok=True)


def _write_facts(run, G, archive) -> None:
    """Writes the plan of the layers, and the names of the classes if they have any."""
    if jax.process_index():
        return
    compare_jax_settings(run.path / "jax_settings.json")
    layers = json.dumps(G.synthesis.rows(), indent=2)
    atomic.write(run.path / "plan.json", layers + "\n")
    if archive.labels.class_names is not None:
        class_names.write(run.path, archive.labels.class_names)


def _compare_sets(run, archive) -> None:
    """Tells whether the set is another than before, and records it then."""
    if jax.process_index():
        return
    found = identity.of_archive(archive)
    changed = model_sets.unlike(run, found)
    step = run.latest_step() or 0
    if changed and step:
        _say(
            f"WARNING: {archive.files.path} is not the set that this run was trained on"
            f" before: {', '.join(changed)}; training continues on it"
        )
    if changed or not set_records.read(run.path):
        set_records.add(run.path, step, found)


def compare_jax_settings(file: Path) -> None:
    """Tells what changed since the file was written, and writes it."""
    now = jax_settings.recorded()
    before = {}
    with contextlib.suppress(FileNotFoundError, ValueError):
        before = json.loads(file.read_text())
    for name, value in now.items():
        if name in before and before[name] != value:
            _say(f"{name} was {before[name]}, now it is {value}: results differ")
    atomic.write_json(file, now)


def _make_batches(archive, batch_size: int, seed: int):
    """batches(start_step) of the set, this process's part of each."""
    options = {"batch_size": batch_size, "seed": seed}
    options |= {"process_index": jax.process_index()}
    options |= {"process_count": jax.process_count()}
    return lambda start: pipeline.batches(archive, start_step=start, **options)


def _make_snapshots(run, G, archive, settings: dict) -> samples.Snapshots:
    over = sharding.BatchSharding.over
    return samples.Snapshots(run.path, G, archive, over, **settings)


def _make_evaluate(metrics: list, settings: dict, archive, cache_dir: Path):
    """evaluate(G_ema) of these metrics; see metrics.evaluation."""
    if not metrics:
        return lambda G_ema: iter(())
    data = settings["data"] | {"mirror": False}

    @functools.cache
    def reals():
        return drawing.of_archive(sets.open_set(cache_dir=cache_dir, **data))

    exact = generator.changed(settings["generator"], dtype="float32")
    G = generator.make_generator(**exact)
    once = archive.labels.values[: archive.mirrored]  # each image once, as in `reals`
    fakes = drawing.of_generator(G, {}, once, jax_settings.key(0))
    over = sharding.BatchSharding.over(settings["metrics"]["batch"])
    store = cache.Store(cache.usual_folder)
    subject = evaluator.Subject(over, reals, fakes, {}, store)
    return evaluation.make_evaluate(metrics, subject)
