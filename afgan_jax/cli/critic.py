r"""Measure how much a discriminator's logits depend on shifts by parts of a pixel.

python -m afgan_jax critic --run=runs/earth
python -m afgan_jax critic --config=configs/earth64.py \
    --config.discriminator.lowpass=kaiser

Real images are shifted by up to half a pixel either way. "moving" is the standard
deviation of logits over shifts, in per cent of that over images; "kink" is the part of
it that is no linear function of the shift, which is where aliases are. Of --seeds
untrained discriminators of a config, or of the trained one of a run.
"""

import json
from pathlib import Path

from absl import flags

from afgan_jax import cli

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, "FILE.py or FILE.py:ARG", flag_values=FLAGS)
flags.DEFINE_string(
    "run", None, "or the run directory of a training", flag_values=FLAGS
)
flags.DEFINE_integer("step", None, "checkpoint; default: newest", flag_values=FLAGS)
flags.DEFINE_integer(
    "seeds", 3, "untrained networks of a config", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_integer("images", 64, "in whole batches", lower_bound=2, flag_values=FLAGS)
flags.DEFINE_integer("batch", 16, "images at a time", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer("shifts", 4, "along either axis", lower_bound=2, flag_values=FLAGS)
flags.DEFINE_string("json", None, "file for the same numbers", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    overrides = cli.parse(FLAGS, argv)
    if (FLAGS.config is None) == (FLAGS.run is None):
        raise ValueError("pass either --config=FILE.py or --run=RUN")
    if FLAGS.run and overrides:
        raise ValueError("a run has its settings: --config.KEY=VALUE is for --config")
    if FLAGS.images % FLAGS.batch:
        raise ValueError(
            f"--images={FLAGS.images} must be a multiple of --batch={FLAGS.batch}"
        )
    if FLAGS.json:
        cli.check_file("json", FLAGS.json)

    # Here, not on top: --help must not wait for JAX.
    import jax

    from afgan_jax.analysis import shift_consistency
    from afgan_jax.runs import atomic

    D, archive, networks = open_run() if FLAGS.run else open_config(overrides)
    batches = read(archive)
    shifts = shift_consistency.grid_of_shifts(FLAGS.shifts)
    judge, rows = jax.jit(D.apply), {}
    for name, variables in networks:

        def critic(images, labels, variables=variables):
            return judge(variables, images, labels if D.c_dim else None)

        found = shift_consistency.measure(critic, batches, shifts)
        rows[name] = found._asdict()
        moving, kink = (100 * s / found.among for s in (found.moving, found.kink))
        print(f"{name}: moving {moving:.3f} %, kink {kink:.4f} %", flush=True)
    if FLAGS.json:
        Path(FLAGS.json).parent.mkdir(parents=True, exist_ok=True)
        report = {"images": FLAGS.images, "lowpass": D.lowpass, "networks": rows}
        atomic.write(Path(FLAGS.json), json.dumps(report, indent=2) + "\n")


def open_config(overrides: dict):
    """(D, set, (name, variables) of untrained networks) of a config."""
    import jax

    from afgan_jax.data import sets
    from afgan_jax.metrics import weights
    from afgan_jax.runs import config

    settings = config.load(FLAGS.config, overrides, cli.schema())
    _, D = cli.make_networks(settings)
    cache = weights.cache_folder() / "sets"
    archive = sets.open_set(cache_dir=cache, **settings["data"] | {"mirror": False})
    networks = [
        (f"seed {seed}", D.initialize(jax.random.key(seed)))
        for seed in range(FLAGS.seeds)
    ]
    return D, archive, networks


def open_run():
    """The same of a run, with its one trained network."""
    from afgan_jax.data import sets
    from afgan_jax.runs import run_directory, saved_networks

    D, variables, step = saved_networks.load_discriminator(FLAGS.run, FLAGS.step)
    run = run_directory.Run.open(FLAGS.run)
    settings = run.config["data"] | {"mirror": False}
    archive = sets.open_set(cache_dir=run.path / ".cache", **settings)
    return D, archive, [(f"step {step}", variables)]


def read(archive) -> list:
    """Batches of (images in [-1, 1], labels), spread evenly over the set."""
    import numpy as np

    if len(archive) < FLAGS.images:
        raise ValueError(f"--images={FLAGS.images}: the set has {len(archive)}")
    numbers = np.linspace(0, len(archive) - 1, FLAGS.images).astype(int)
    images, labels = (np.stack(a) for a in zip(*(archive[int(i)] for i in numbers)))
    images = images.astype(np.float32) / 127.5 - 1
    count = FLAGS.images // FLAGS.batch
    return list(zip(np.split(images, count), np.split(labels, count)))
