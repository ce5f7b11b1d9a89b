"""Time a configuration on this machine: its operations, generator, updates and data.

python -m afgan_jax bench ops,synthesis,update --config=configs/ffhqu256.py:t --batch=2
python -m afgan_jax bench data --config=configs/earth64.py
python -m afgan_jax bench aot --config=configs/ffhqu256.py:t --topology=v5e:2x4

A line each: the median time of a call; images/s; GFLOP/s of the arithmetic that the
call needs; naive/this, how many times longer the same takes in XLA's own forms in this
process (a single run; --naive=False leaves it out); memory of a call, by the compiler;
seconds of compiling. Of the update, "step" is the mean of training, with each phase as
often as it is due; data is the config's image set, and together (update,data) they tell
how many times faster images are read than trained on. AFGAN_FORM in the environment
forces inner forms, such as filtered=banded,resample=banded.

scaling times the generator as batch, resolution and width grow; --plot=FILE.png draws
that.

--against=pytorch --checkout=FOLDER times the same networks and batch of synthesis and
update in this process with the published program, of which you have a copy.

aot needs no TPU: libtpu compiles the updates for the chips named. A line each, per
chip: memory; the compiler's static estimate of the time, good for ranking only; how
many loops and kernels it leaves out; the collectives between chips and their bytes.
"""

import dataclasses
import os
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
flags.DEFINE_string(
    "topology", "v5e:1x1", "aot: GENERATION:SHAPE of the chips", flag_values=FLAGS
)
flags.DEFINE_enum(
    "against", None, ["pytorch"], "another program to time too", flag_values=FLAGS
)
flags.DEFINE_string(
    "checkout", None, "folder of the published PyTorch program", flag_values=FLAGS
)
flags.DEFINE_list(
    "phases",
    [],
    "aot: updates to compile, such as Gboth; default: all",
    flag_values=FLAGS,
)
flags.DEFINE_string("plot", None, "file for the plot of scaling", flag_values=FLAGS)
flags.DEFINE_string("json", None, "file for the same numbers", flag_values=FLAGS)

PARTS = ("ops", "synthesis", "update", "data", "scaling", "aot")


def main(argv: list[str]) -> None:
    parts = ("synthesis", "update")
    if argv and not argv[0].startswith("-"):
        parts, argv = tuple(argv[0].split(",")), argv[1:]
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"bench {unknown[0]!r}: use some of {','.join(PARTS)}")
    if "aot" in parts and len(parts) > 1:
        raise ValueError("bench aot compiles for other machines: ask for it alone")
    overrides = cli.parse(FLAGS, argv, required=("config",))
    if (FLAGS.against is None) != (FLAGS.checkout is None):
        raise ValueError("--against=pytorch and --checkout=FOLDER need each other")
    if FLAGS.against and not {"synthesis", "update"} & set(parts):
        raise ValueError("--against=pytorch times synthesis and update: ask for those")
    if parts != ("aot",) and (FLAGS.phases or FLAGS["topology"].present):
        raise ValueError("--phases and --topology are for bench aot")

    for flag, file in (("json", FLAGS.json), ("plot", FLAGS.plot)):
        if file:
            cli.check_file(flag, file)
            Path(file).parent.mkdir(parents=True, exist_ok=True)
    if FLAGS.plot and "scaling" not in parts:
        raise ValueError("--plot draws scaling: ask for it, as in bench scaling")

    if parts == ("aot",):  # before JAX looks for a TPU to compile for
        os.environ["JAX_PLATFORMS"] = "cpu"
    # Here, not on top: --help must not wait for JAX.
    import jax

    from afgan_jax import config
    from afgan_jax.bench import aot, clock

    # What is kept from an earlier run would make compiling look quick.
    jax.config.update("jax_enable_compilation_cache", False)
    settings = config.load(FLAGS.config, overrides, cli.schema())
    batch = FLAGS.batch or settings["updates"]["batch_size"]
    settings["updates"]["batch_size"] = batch
    cli.fill_in(settings)
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    rows, header, theirs = [], clock.HEADER, theirs_of(settings, batch)
    if parts == ("aot",):
        aot.devices(FLAGS.topology)  # before anything is printed
        device, header = f"{FLAGS.topology}, compiled ahead of time", aot.HEADER
    print(f"{FLAGS.config} on {device}, batch {batch}\n{header}")
    for part in parts:
        for row in measure(part, settings, batch):
            if row.name in theirs:
                seconds = theirs[row.name](FLAGS.repeats)
                row = dataclasses.replace(row, against_seconds=seconds)
            print(row.line(), flush=True)
            rows.append(row.as_dict())
    seconds = {row["name"]: row["seconds"] for row in rows}
    content = {"config": FLAGS.config, "device": device, "rows": rows}
    if {"step", "data"} <= seconds.keys():
        content["step_over_data"] = ratio = seconds["step"] / seconds["data"]
        print(f"images are read {ratio:.1f} times as fast as they are trained on")
    if FLAGS.plot:
        draw(FLAGS.plot, rows, FLAGS.config)
    if FLAGS.json:
        save(Path(FLAGS.json), content)


def measure(part: str, settings: dict, batch: int):
    """Yields the rows of one part."""
    import functools

    from afgan_jax.augment import control
    from afgan_jax.bench import aot, networks
    from afgan_jax.signal import forms
    from afgan_jax.training import kernels, loop, step

    options = {"repeats": FLAGS.repeats, "naive": FLAGS.naive}
    if part == "data":
        yield read_data(settings, batch)
        return
    G, D = cli.make_networks(settings)
    if part == "scaling":
        yield from networks.scaling(settings["generator"], batch, **options)
        return
    updates = dict(settings["updates"])
    if part == "aot":
        chips = aot.devices(FLAGS.topology)
    else:
        chips, updates["kernel"] = None, kernels.usable(updates["kernel"])
    if part in ("ops", "synthesis"):
        with forms.prefer(**kernels.KERNELS[updates["kernel"]]):
            if part == "ops":
                yield from networks.operations(G, D, batch, **options)
            else:
                yield from networks.synthesis(G, batch, **options)
        return
    augment = control.make_control(**settings["augment"])
    setup = step.make_setup(G, D, augment=augment, **settings["losses"])
    program = step.make_program(setup, **updates, devices=chips)
    if part == "aot":
        clock = aot.CLOCKS[FLAGS.topology.partition(":")[0]]
        yield from aot.updates(program, D, batch, clock, tuple(FLAGS.phases))
    else:
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


def theirs_of(settings: dict, batch: int) -> dict:
    """{row name: (repeats) -> seconds} of the other program, {} without one."""
    if FLAGS.against is None:
        return {}
    import functools

    import jax

    from afgan_jax.bench import pytorch

    if settings["losses"]["pl_weight"] and not settings["updates"]["G_reg_interval"]:
        raise ValueError(
            "--against=pytorch: Gboth holds path lengths; set updates.G_reg_interval"
        )
    if jax.default_backend() == "tpu":
        raise ValueError("--against=pytorch: it does not run on a TPU")
    pytorch.open_checkout(FLAGS.checkout)
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    G, D = pytorch.networks(settings["generator"], settings["discriminator"], device)
    work = pytorch.work(G, D, batch, settings["losses"]["r1_gamma"], device)
    return {
        name: functools.partial(pytorch.seconds, function, device=device)
        for name, function in work.items()
    }


def draw(path: str, rows: list[dict], title: str) -> None:
    """Time per image against what grows, and where the arithmetic alone would lie."""
    from afgan_jax.bench import networks
    from afgan_jax.viz import plot

    panels = {scale: [] for scale in networks.SCALES}
    guides = {scale: [] for scale in networks.SCALES}
    for row in rows:
        scale, _, value = row["name"].partition(" ")
        if scale in panels:
            panels[scale].append((float(value), row["seconds"] / row["images"]))
            guides[scale].append((float(value), row["gflop"] / row["images"]))
    for scale, points in guides.items():  # at the rate of the largest
        rate = points[-1][1] / panels[scale][-1][1]
        guides[scale] = [(x, gflop / rate) for x, gflop in points]
    plot.log_panels(
        path,
        panels,
        guides,
        ylabel="seconds an image",
        guide="needed arithmetic",
        title=title,
    )


def save(path: Path, content: dict) -> None:
    import json

    from afgan_jax import atomic

    atomic.write(path, json.dumps(content, indent=2) + "\n")
