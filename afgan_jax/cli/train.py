"""Train a generator; run the same command again to resume.

python -m afgan_jax train --config=configs/earth64.py --workdir=runs/earth

Ctrl-C or SIGTERM, in a job of several processes to any of them, ends the training after
the present step, with a checkpoint and exit code 0. A second one ends it at once, as
the first does while there is nothing to save: until the first step has been compiled
(exit code 130 for Ctrl-C, within some seconds; 143 for SIGTERM). Bad input ends it with
one line and exit code 2.

--config.SECTION.KEY=VALUE changes a setting, such as --config.train.total_kimg=50.
--preview-augment[=P] trains nothing: it writes WORKDIR/augment.png, images of the set
above what the discriminator sees of them (by default at p = 0.2, 0.5 and 1, or at the p
that --config.augment.mode=fixed has).
--init-from=RUN or RUN@STEP begins a new run with the weights of another, and
--init-from=FILE.pkl with those of a published snapshot: same networks, or the same
without labels. --partial takes over what fits of other networks, such as those of
another resolution. The rest starts anew; see WORKDIR/transfer.txt. ADA then
adapts over 100 kimg, and there is no ramp-up of the average and no blur, unless a
--config flag says otherwise. --config.losses.freeze_d=N keeps N layers of D fixed.
--dry-run trains and writes nothing: it prints the generator's layers, parameter counts,
and what memory the compiler finds every update to take on each device.
--profile trains as usual and writes a trace of 5 steps to WORKDIR/profile.
In a job of several processes each runs the same command, with --coordinator=auto where
JAX finds the others by itself (TPU pods, SLURM, Kubernetes), or else with
--coordinator=HOST:PORT --processes=N --process=I.
"""

import itertools
import math
import os
import signal
import sys

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import assembly

PREVIEW = "preview-augment"

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, "FILE.py or FILE.py:ARG", flag_values=FLAGS)
flags.DEFINE_string("workdir", None, "new or resumed run directory", flag_values=FLAGS)
flags.DEFINE_string(PREVIEW, None, "write a picture at this p", flag_values=FLAGS)
flags.DEFINE_string("init-from", None, "begin with these weights", flag_values=FLAGS)
flags.DEFINE_bool("partial", False, "with those that fit", flag_values=FLAGS)
flags.DEFINE_bool("dry-run", False, "only show what it takes", flag_values=FLAGS)
flags.DEFINE_bool("profile", False, "trace 5 steps", flag_values=FLAGS)
flags.DEFINE_string("coordinator", None, "auto or HOST:PORT", flag_values=FLAGS)
flags.DEFINE_integer("processes", None, "how many, in all", flag_values=FLAGS)
flags.DEFINE_integer("process", None, "which one this is, from 0", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    # Its value may be left out, which absl allows of switches only.
    argv = [f"{a}=auto" if a.lstrip("-") == PREVIEW else a for a in argv]
    overrides = cli.parse(FLAGS, argv, required=("config", "workdir"))
    p = None if FLAGS[PREVIEW].value is None else read_p(FLAGS[PREVIEW].value)
    if FLAGS.coordinator is not None:
        join(FLAGS.coordinator, FLAGS.processes, FLAGS.process)
    elif FLAGS.processes is not None or FLAGS.process is not None:
        raise ValueError("--processes and --process need --coordinator=HOST:PORT")
    if FLAGS["dry-run"].value and FLAGS[PREVIEW].value is not None:
        raise ValueError(f"--dry-run writes nothing: leave out --{PREVIEW}")
    source = FLAGS["init-from"].value
    if FLAGS.partial and source is None:
        raise ValueError("--partial is for --init-from=RUN")
    if FLAGS[PREVIEW].value is not None:
        if FLAGS.profile:
            raise ValueError(f"--{PREVIEW} trains nothing: leave out --profile")
        cli.check_writable("workdir", FLAGS.workdir)
        preview(FLAGS.config, FLAGS.workdir, overrides, p, source)
        return
    if FLAGS["dry-run"].value:
        if FLAGS.profile:
            raise ValueError("--dry-run trains nothing: leave out --profile")
        dry_run(FLAGS.config, FLAGS.workdir, overrides, source, FLAGS.partial)
        return
    cli.check_writable("workdir", FLAGS.workdir)
    options = {"partial": FLAGS.partial, "profile": FLAGS.profile}
    train(FLAGS.config, FLAGS.workdir, overrides, source, **options)


def read_p(text: str) -> float | None:
    """The strength to preview; None for "auto"."""
    if text == "auto":
        return None
    try:
        p = float(text)
    except ValueError:
        p = math.nan
    if not 0 <= p <= 1:
        raise ValueError(f"--{PREVIEW}={text} must be a number from 0 to 1")
    return p


def join(coordinator: str, processes: int | None, process: int | None) -> None:
    """Meet the other processes of the job, before JAX looks for devices."""
    import jax

    if coordinator == "auto":
        jax.distributed.initialize()
        _let_sigterm_end_it()
        return
    if processes is None or process is None or not 0 <= process < processes:
        raise ValueError(
            f"--coordinator={coordinator} needs --processes=N and --process from 0 to"
            f" N - 1, not --processes={processes} --process={process}"
        )
    jax.distributed.initialize(coordinator, processes, process)
    _let_sigterm_end_it()


def _let_sigterm_end_it() -> None:
    """Undo that JAX only takes note of SIGTERM, for whom it may concern."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def train(
    spec: str,
    workdir: str | os.PathLike,
    overrides: dict,
    source: str | None = None,
    partial: bool = False,
    profile: bool = False,
) -> None:
    """Open everything that a config names and train until it is done.

    A run that has no checkpoint yet begins with the weights of the run `source`.
    """
    # Here, not on top: --help must not wait for JAX.
    import functools
    import json

    import jax

    from afgan_jax.data import pipeline, sets
    from afgan_jax.metrics import evaluation
    from afgan_jax.runs import atomic, retention, run_directory
    from afgan_jax.training import compilation_cache, init_from, loop, samples

    schema = cli.schema()
    settings = assembly.load(spec, workdir, overrides, source)
    setup, program = assembly.build(settings)
    batch_size = settings["updates"]["batch_size"]
    keep = retention.make_retention(batch_size, **settings["checkpoints"])
    metrics = evaluation.parse(**settings["metrics"])
    # A hidden folder: a run directory may hold it before the run begins.
    cache = run_directory.Run.check(workdir, settings, schema) / ".cache"
    beginning = assembly.begin(workdir, settings, program, source, partial)
    archive = sets.open_set(cache_dir=cache, **settings["data"])
    assembly.check_data(archive, settings)
    if jax.process_index() == 0:
        for line in assembly.introduce(archive):
            print(line, file=sys.stderr)
    evaluate = assembly.make_evaluate(metrics, settings, archive, cache)
    with run_directory.Run.create_or_open(
        workdir, settings, schema, retention=keep
    ) as run:
        compilation_cache.keep(cache / "compiled")
        if jax.process_index() == 0:
            layers = json.dumps(setup.G.synthesis.rows(), indent=2)
            atomic.write(run.path / "plan.json", layers + "\n")
            if archive.class_names is not None:
                names = json.dumps(list(archive.class_names)) + "\n"
                atomic.write(run.path / run_directory.CLASSES, names)
        if beginning is not None:
            init_from.save(run, *beginning)
        elif run.latest_step() is None:  # an earlier try may have left one
            (run.path / init_from.RECORD).unlink(missing_ok=True)
        del beginning
        batches = functools.partial(
            pipeline.batches,
            archive,
            batch_size=batch_size,
            seed=settings["train"]["seed"],
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        snapshots = samples.Snapshots(
            run.path, setup.G, archive, **settings["pictures"]
        )
        loop.train(
            run,
            program,
            lambda start: batches(start_step=start),
            snapshots,
            evaluate,
            batch_size=batch_size,
            profile=profile,
            **settings["train"],
        )


def dry_run(
    spec: str,
    workdir: str | os.PathLike,
    overrides: dict,
    source: str | None = None,
    partial: bool = False,
) -> None:
    """Print what the training would consist of and take, without beginning it."""
    import jax

    from afgan_jax.bench import memory
    from afgan_jax.runs import run_directory
    from afgan_jax.training import init_from, transfer

    settings = assembly.load(spec, workdir, overrides, source)
    setup, program = assembly.build(settings)
    run_directory.Run.check(workdir, settings, cli.schema())
    lines = memory.report(setup.G, setup.D, program, settings["updates"]["batch_size"])
    if source is not None and not run_directory.Run.has_begun(workdir):
        shapes = init_from.shapes_of(program)
        rows = init_from.check(init_from.find(source), settings, shapes, partial)
        lines = itertools.chain([transfer.table(rows)], lines)
    for line in lines:
        if jax.process_index() == 0:
            print(line, flush=True)


def preview(
    spec: str,
    workdir: str | os.PathLike,
    overrides: dict,
    p: float | None,
    source: str | None = None,
) -> None:
    """Write what D would see of the set that a config names, in its run directory."""
    import jax

    from afgan_jax.augment import control, pipeline
    from afgan_jax.data import sets
    from afgan_jax.runs import run_directory
    from afgan_jax.training import preview

    schema = cli.schema()
    settings = assembly.load(spec, workdir, overrides, source)
    augment = control.make_control(**settings["augment"])
    if augment is None:
        raise ValueError(
            f"--{PREVIEW}: augment.mode=noaug, D sees images as they are; pass"
            " --config.augment.mode=ada or fixed"
        )
    cache = run_directory.Run.check(workdir, settings, schema) / ".cache"
    archive = sets.open_set(cache_dir=cache, **settings["data"])
    size = (archive.resolution, archive.resolution)
    pipeline.check_images(augment.multipliers, size, archive.channels)
    with run_directory.Run.create_or_open(workdir, settings, schema) as run:
        path = run.path / "augment.png"
        if jax.process_index() == 0:
            preview.write(path, augment, archive, preview.strengths(augment, p))
            print(f"wrote {path}", file=sys.stderr)
