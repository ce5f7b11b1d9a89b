"""Time a configuration on this machine: its operations, generator, updates and data.

python -m afgan_jax bench ops,synthesis,update --config=configs/ffhqu256.py:t --batch=2
python -m afgan_jax bench data --config=configs/earth64.py
python -m afgan_jax bench metrics --config=configs/ffhqu256.py --batch=8
python -m afgan_jax bench aot --config=configs/ffhqu256.py:t --topology=v5e:2x4

A line each: the median time of a call; images/s; GFLOP/s of the arithmetic that the
call needs; naive/this, how many times longer the same takes in XLA's own forms in this
process (a single run; --naive=False leaves it out); memory of a call, by the compiler;
seconds of compiling. Of the update, "step" is the mean of training, with each phase as
often as it is due; data is the config's image set, and together (update,data) they tell
how many times faster images are read than trained on. AFGAN_FORM in the environment
forces inner forms, such as filtered=banded,resample=banded.

metrics times the networks of features on pictures of the config's size, with weights
drawn at random, and what each metric does with the generator for an image (ppl: a pair;
equivariance: an image and its moved one), up to the distance between all of them.

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import assembly

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


def main(argv: list[str]) -> None:
    names = ["synthesis", "update"]
    if argv and not argv[0].startswith("-"):
        names, argv = argv[0].split(","), argv[1:]
    overrides = cli.parse(FLAGS, argv, required=("config",))
    check(names)
    if names == ["aot"]:  # before JAX looks for a TPU to compile for
        os.environ["JAX_PLATFORMS"] = "cpu"
    # Here, not on top: --help must not wait for JAX.
    import jax

    from afgan_jax.runs import config

    # What is kept from an earlier run would make compiling look quick.
    jax.config.update("jax_enable_compilation_cache", False)
    settings = config.load(FLAGS.config, overrides, cli.schema())
    batch = FLAGS.batch or settings["updates"]["batch_size"]
    settings["updates"]["batch_size"] = batch
    cli.fill_in(settings)
    rows = timed(names, settings, batch)
    seconds = {row["name"]: row["seconds"] for row in rows}
    content = {"config": FLAGS.config, "device": device(names), "rows": rows}
    if {"step", "data"} <= seconds.keys():
        content["step_over_data"] = ratio = seconds["step"] / seconds["data"]
        print(f"images are read {ratio:.1f} times as fast as they are trained on")
    if FLAGS.plot:
        draw(FLAGS.plot, rows, FLAGS.config)
    if FLAGS.json:
        save(Path(FLAGS.json), content)


def check(names: list[str]) -> None:
    """Raises ValueError for parts and flags that do not go together."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise ValueError(f"bench {unknown[0]!r}: use some of {','.join(PARTS)}")
    if "aot" in names and len(names) > 1:
        raise ValueError("bench aot compiles for other machines: ask for it alone")
    if (FLAGS.against is None) != (FLAGS.checkout is None):
        raise ValueError("--against=pytorch and --checkout=FOLDER need each other")
    for flag in ("against", "plot", "phases", "topology"):
        takers = [name for name, part in PARTS.items() if flag in part.flags]
        if FLAGS[flag].present and not set(takers) & set(names):
            raise ValueError(
                f"--{flag} is for {' and '.join(takers)}: ask for it, as in bench"
                f" {takers[0]}"
            )
    for flag in ("json", "plot"):
        if FLAGS[flag].value:
            cli.check_file(flag, FLAGS[flag].value)


def timed(names: list[str], settings: dict, batch: int) -> list[dict]:
    """The rows of these parts, each printed as soon as it is known."""
    from afgan_jax.bench import aot, clock

    theirs, header = theirs_of(settings, batch), clock.HEADER
    if names == ["aot"]:
        aot.devices(FLAGS.topology)  # before anything is printed
        header = aot.HEADER
    print(f"{FLAGS.config} on {device(names)}, batch {batch}\n{header}")
    rows = []
    for name in names:
        for row in PARTS[name].rows(settings, batch):
            if row.name in theirs:
                seconds = theirs[row.name](FLAGS.repeats)
                row = dataclasses.replace(row, against_seconds=seconds)
            print(row.line(), flush=True)
            rows.append(row.as_dict())
    return rows


def device(names: list[str]) -> str:
    """What is timed, or compiled for."""
    import jax

    if names == ["aot"]:
        return f"{FLAGS.topology}, compiled ahead of time"
    return f"{jax.device_count()} x {jax.devices()[0].device_kind}"


def options() -> dict:
    """What clocks are told."""
    return {"repeats": FLAGS.repeats, "naive": FLAGS.naive}


def operations(settings: dict, batch: int):
    """Rows of every convolution and nonlinearity, each once."""
    from afgan_jax.bench import networks

    G, D = cli.make_networks(settings)
    with kernel_of(settings):
        yield from networks.operations(G, D, batch, **options())


def synthesis(settings: dict, batch: int):
    """The row of the generator."""
    from afgan_jax.bench import networks

    G, _ = cli.make_networks(settings)
    with kernel_of(settings):
        yield from networks.synthesis(G, batch, **options())


def kernel_of(settings: dict):
    """A context in which layers take the forms of updates.kernel."""
    from afgan_jax.signal.backends import dispatch
    from afgan_jax.training import kernels

    return dispatch.prefer(
        **kernels.KERNELS[kernels.usable(settings["updates"]["kernel"])]
    )


def updates(settings: dict, batch: int):
    """Rows of the update of every phase, and of the mean step."""
    import functools

    from afgan_jax.bench import networks
    from afgan_jax.training import loop

    setup, program = assembly.build(settings)
    place = functools.partial(loop.place, program)
    yield from networks.updates(program, setup.D, batch, place, **options())


def read_data(settings: dict, batch: int):
    """The row of the config's image set; one that is built is not kept."""
    import tempfile

    from afgan_jax.bench import networks
    from afgan_jax.data import pipeline, sets

    with tempfile.TemporaryDirectory() as cache:
        archive = sets.open_set(cache_dir=cache, **settings["data"])
        batches = pipeline.batches(archive, batch_size=batch, seed=0)
        yield networks.data(batches, batch)


def scaling(settings: dict, batch: int):
    """Rows of the generator as batch, resolution and width grow."""
    from afgan_jax.bench import networks

    yield from networks.scaling(settings["generator"], batch, **options())


def metrics(settings: dict, batch: int):
    """Rows of networks of features, and of each metric with the generator."""
    from afgan_jax.bench import metrics

    G, _ = cli.make_networks(settings)
    shape = (G.synthesis.resolution,) * 2 + (G.synthesis.img_channels,)
    yield from metrics.networks(shape, batch, repeats=FLAGS.repeats)
    yield from metrics.whole(G, batch, **options())


def compiled_ahead(settings: dict, batch: int):
    """Rows of what the TPU compiler says of the updates."""
    from afgan_jax.augment import control
    from afgan_jax.bench import aot
    from afgan_jax.training import step

    chips = aot.devices(FLAGS.topology)
    G, D = cli.make_networks(settings)
    augment = control.make_control(**settings["augment"])
    setup = step.make_setup(G, D, augment=augment, **settings["losses"])
    program = step.make_program(setup, **settings["updates"], devices=chips)
    hertz = aot.CLOCKS[FLAGS.topology.partition(":")[0]]
    yield from aot.updates(program, D, batch, hertz, tuple(FLAGS.phases))


class Part(NamedTuple):
    """What can be timed: `rows` yields its lines; `flags` are for no other parts."""

    rows: Callable[[dict, int], Iterator]
    flags: tuple[str, ...] = ()


PARTS = {
    "ops": Part(operations),
    "synthesis": Part(synthesis, ("against",)),
    "update": Part(updates, ("against",)),
    "data": Part(read_data),
    "scaling": Part(scaling, ("plot",)),
    "metrics": Part(metrics),
    "aot": Part(compiled_ahead, ("phases", "topology")),
}


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

    from afgan_jax.runs import atomic

    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, json.dumps(content, indent=2) + "\n")
