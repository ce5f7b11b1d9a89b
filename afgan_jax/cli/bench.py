"""Time a configuration on this machine: its operations, generator, updates and data.

python -m afgan_jax bench ops,synthesis,update --config=configs/ffhqu256.py:t --batch=2
python -m afgan_jax bench data --config=configs/earth64.py

A line each: the median time of a call; images/s; GFLOP/s of the arithmetic that the
call needs; naive/this, how many times longer the same takes in XLA's own forms in this
process (a single run; --naive=False leaves it out); memory of a call, by the compiler;
seconds of compiling. AFGAN_FORM in the environment forces inner forms, such as
filtered=banded,resample=banded.
"""

from pathlib import Path

from absl import flags

from afgan_jax import cli

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, "FILE.py or FILE.py:ARG", flag_values=FLAGS)
flags.DEFINE_integer(
    "batch",
    None,
    "images at a time; default: the config's",
    lower_bound=1,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "repeats", 3, "runs, of which the median counts", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_bool("naive", True, "compare with XLA's own forms", flag_values=FLAGS)
flags.DEFINE_string("json", None, "file for the same numbers", flag_values=FLAGS)

PARTS = ("ops", "synthesis", "update", "data")


def main(argv: list[str]) -> None:
    parts = ("synthesis", "update")
    if argv and not argv[0].startswith("-"):
        parts, argv = tuple(argv[0].split(",")), argv[1:]
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"bench {unknown[0]!r}: use some of {','.join(PARTS)}")
    overrides = cli.parse(FLAGS, argv, required=("config",))

    if FLAGS.json and Path(FLAGS.json).is_dir():
        raise ValueError(f"--json={FLAGS.json} is a folder; name a file")
    if FLAGS.json:
        Path(FLAGS.json).parent.mkdir(parents=True, exist_ok=True)

    # Here, not on top: --help must not wait for JAX.
    import jax

    from afgan_jax import config
    from afgan_jax.bench import clock

    # What is kept from an earlier run would make compiling look quick.
    jax.config.update("jax_enable_compilation_cache", False)
    settings = config.load(FLAGS.config, overrides, cli.schema())
    batch = FLAGS.batch or settings["updates"]["batch_size"]
    settings["updates"]["batch_size"] = batch
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    print(f"{FLAGS.config} on {device}, batch {batch}\n{clock.HEADER}")
    rows = []
    for part in parts:
        for row in measure(part, settings, batch):
            print(row.line(), flush=True)
            rows.append(row.as_dict())
    if FLAGS.json:
        save(Path(FLAGS.json), {"config": FLAGS.config, "device": device, "rows": rows})


def measure(part: str, settings: dict, batch: int):
    """Yields the rows of one part."""
    import functools

    from afgan_jax.bench import networks
    from afgan_jax.networks import discriminator, generator
    from afgan_jax.training import loop, step

    options = {"repeats": FLAGS.repeats, "naive": FLAGS.naive}
    if part == "data":
        yield read_data(settings, batch)
        return
    G = generator.make_generator(**settings["generator"])
    if part == "ops":
        yield from networks.operations(G, batch, **options)
    elif part == "synthesis":
        yield from networks.synthesis(G, batch, **options)
    else:
        D = discriminator.make_discriminator(**settings["discriminator"])
        setup = step.make_setup(G, D, **settings["losses"])
        program = step.make_program(setup, **settings["updates"])
        place = functools.partial(loop.place, program)
        yield from networks.updates(program, D, batch, place, **options)


def read_data(settings: dict, batch: int):
    """The row of the config's image set; one that is built is not kept."""
    import tempfile

    from afgan_jax.bench import networks
    from afgan_jax.data import pipeline, sets

    with tempfile.TemporaryDirectory() as cache:
        archive = sets.open_set(cache_dir=cache, **settings["data"])
        batches = pipeline.batches(archive, batch_size=batch, seed=0)
        return networks.data(batches, batch)


def save(path: Path, content: dict) -> None:
    import json

    from afgan_jax import runs

    runs.write_atomically(path, json.dumps(content, indent=2) + "\n")
