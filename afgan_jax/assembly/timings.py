"""What `bench` can time: a table of parts, each of which yields its rows."""

import copy
import dataclasses
import functools
import itertools
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from afgan_jax import errors
from afgan_jax.assembly import settings, training
from afgan_jax.bench import aot, clock, forms, networks, pytorch
from afgan_jax.bench import metrics as of_metrics
from afgan_jax.data import pipeline, sets
from afgan_jax.training import implementations, loop, step


class Job(NamedTuple):
    """What is timed, and how.

    repeats: runs, of which the median counts; naive: also in XLA's own
    implementations; topologies or cards, devices (of a card's kind, in one machine),
    phases and images (on each device, None: a share of the batch): of `aot`. minutes:
    after which `device` begins nothing.
    """

    settings: dict
    batch: int
    repeats: int = 3
    naive: bool = True
    phases: tuple[str, ...] = ()
    images: int | None = None
    minutes: float = 8.0
    topologies: tuple[str, ...] | None = None
    cards: tuple[str, ...] | None = None
    devices: int = 1

    @property
    def options(self) -> dict[str, Any]:
        """What clocks are told."""
        return {"repeats": self.repeats, "naive": self.naive}


def settings_of(spec: str, changes: dict, batch: int | None) -> tuple[dict, int]:
    """(complete settings of a config, the batch, by default the config's)."""
    found = settings.load(spec, changes)
    batch = batch or found["updates"]["batch_size"]
    found["updates"]["batch_size"] = batch
    settings.fill_in(found)
    return found, batch


def versions() -> dict[str, str]:
    """Of what the times depend on."""
    client = jax.devices()[0].client
    return {
        "jax": jax.__version__,
        "platform": " ".join(client.platform_version.split()),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def heading(names: Sequence[str], job: Job) -> tuple[str, str]:
    """(what is timed or compiled for, the line above the rows of these parts).

    Raises SettingError for what cannot be compiled for.
    """
    if "aot" in names:
        head = aot.TPU_HEADER if job.cards is None else aot.CUDA_HEADER
        return f"{','.join(targets(job))}, compiled ahead of time", head
    return f"{jax.device_count()} x {jax.devices()[0].device_kind}", clock.HEADER


class Part(NamedTuple):
    """What can be timed: `rows` yields its lines; `flags` are for no other parts."""

    rows: Callable[[Job], Iterator]
    flags: tuple[str, ...] = ()


def operations(job: Job):
    """Rows of every convolution and nonlinearity, each once."""
    G, D = settings.make_networks(job.settings)
    wishes = wishes_of(job.settings)
    yield from networks.operations(G, D, job.batch, wishes=wishes, **job.options)


def synthesis(job: Job):
    """The row of the generator."""
    G, _ = settings.make_networks(job.settings)
    wishes = wishes_of(job.settings)
    yield from networks.synthesis(G, job.batch, wishes=wishes, **job.options)


def wishes_of(settings: dict) -> dict[str, str]:
    """{operation: implementation} of updates.implementation."""
    dtype = settings["generator"]["synthesis"]["dtype"]
    name = implementations.usable(settings["updates"]["implementation"], dtype)
    return implementations.IMPLEMENTATIONS[name]


def updates(job: Job):
    """Rows of the update of every phase, and of the mean step."""
    given = job.settings
    setup, program = training.build(given)
    naive = given["updates"] | {"implementation": "naive"}
    _, naive_program = training.build(given | {"updates": naive})
    programs = program, naive_program
    place = functools.partial(loop.place, program)
    yield from networks.updates(*programs, setup.D, job.batch, place, **job.options)


def read_data(job: Job):
    """The row of the config's image set; one that is built is not kept."""
    with tempfile.TemporaryDirectory() as cache:
        archive = sets.open_set(cache_dir=cache, **job.settings["data"])
        batches = pipeline.batches(archive, batch_size=job.batch, seed=0)
        yield networks.data(batches, job.batch)


def scaling(job: Job):
    """Rows of the generator as batch, resolution and width grow."""
    yield from networks.scaling(job.settings["generator"], job.batch, **job.options)


def metrics(job: Job):
    """Rows of networks of features, and of each metric with the generator."""
    G, _ = settings.make_networks(job.settings)
    shape = (*G.synthesis.size, G.synthesis.img_channels)
    yield from of_metrics.networks(shape, job.batch, repeats=job.repeats)
    yield from of_metrics.whole(G, job.batch, **job.options)


def targets(job: Job) -> dict[str, tuple[aot.Target, int]]:
    """{name: (what to compile for, the batch)}; SettingError for what cannot be."""
    if job.cards is None:
        names = ("v5e:1x1",) if job.topologies is None else job.topologies
        makers = {name: functools.partial(aot.tpu, name) for name in names}
        name, example = "topology", "v5e:1x1"
    else:
        several = f" x {job.devices}" if job.devices > 1 else ""
        makers = {
            f"{card}{several}": functools.partial(aot.cuda, card, job.devices)
            for card in job.cards
        }
        name, example = "card", "h100"
    if not makers:
        raise errors.SettingError(name, "", f"names none: use {example}, or others")
    found = {}
    for name, make in makers.items():
        target = make()
        count = len(target.devices)
        batch = job.batch if job.images is None else job.images * count
        if batch % count:
            why = f"is no multiple of the {count} devices of {name}"
            raise errors.SettingError("batch", batch, why)
        found[name] = target, batch
    return found


def compiled_ahead(job: Job):
    """Rows of what compilers say of the updates, for each target."""
    given = job.settings
    setup = settings.make_setup(given)
    found = targets(job)
    for where, (target, batch) in found.items():
        updates = given["updates"] | {"batch_size": batch}
        program = step.make_program(setup, **updates, devices=target.devices)
        for row in aot.updates(program, setup.D, batch, target, job.phases):
            name = f"{where} {row.name}" if len(found) > 1 else row.name
            yield dataclasses.replace(row, name=name)


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Rows that there was no time for, or that this device cannot compute."""

    name: str
    why: str

    def line(self) -> str:
        return f"{self.name}: left out, {self.why}"


def on_device(job: Job):
    """Rows of how exact and how fast all implementations are on this device, then of
    synthesis and updates in every dtype."""
    until = time.monotonic() + 60 * job.minutes
    for name, rows in _device_parts(job):
        if time.monotonic() > until:
            yield LeftOut(name, "--minutes are over")
            continue
        try:
            yield from rows
        except jax.errors.JaxRuntimeError as error:  # such as too little memory
            yield LeftOut(name, " ".join(str(error).split())[:300])


def _device_parts(job: Job) -> Iterator[tuple[str, Iterator]]:
    """(what it is, its rows), the most wanted first."""
    names = list(forms.WORTH[jax.default_backend()])
    fault = implementations.fault() if "fused_gpu" in names else None
    if fault is not None:
        names.remove("fused_gpu")
        yield "fused_gpu", iter([LeftOut("fused_gpu", fault)])
    for name in names:
        yield f"checks of {name}", forms.checks(name)
    G, _ = settings.make_networks(job.settings)
    for (case, spec), name in itertools.product(
        forms.heaviest(G.synthesis).items(), names
    ):
        timed = forms.times(case, name, spec, job.batch, repeats=job.repeats)
        yield f"{name} {case}", timed
    for dtype in ("bfloat16", "float32", "float16"):
        changed = copy.deepcopy(job.settings)
        changed["generator"]["synthesis"]["dtype"] = dtype
        changed["discriminator"]["dtype"] = dtype
        lesser = job._replace(settings=changed, naive=False)
        for part in (synthesis, updates):
            yield f"{part.__name__} {dtype}", _suffixed(part(lesser), dtype)


def _suffixed(rows: Iterator, suffix: str) -> Iterator:
    for row in rows:
        yield dataclasses.replace(row, name=f"{row.name} {suffix}")


PARTS = {
    "device": Part(on_device, ("minutes",)),
    "ops": Part(operations),
    "synthesis": Part(synthesis, ("against",)),
    "update": Part(updates, ("against",)),
    "data": Part(read_data),
    "scaling": Part(scaling, ("plot",)),
    "metrics": Part(metrics),
    "aot": Part(compiled_ahead, ("phases", "topology", "card", "devices", "images")),
}


def rows(names: Sequence[str], job: Job, theirs: Mapping[str, Callable]) -> Iterator:
    """The rows of these parts, each as soon as it is known.

    theirs: {row name: (repeats) -> seconds} of another program. Rows after those of
    "ops" have a floor.
    """
    fastest = 0.0  # operation, GFLOP/s
    parts = ((name, row) for name in names for row in PARTS[name].rows(job))
    for part, row in parts:
        if part == "ops":
            fastest = max(fastest, row.gflop / row.seconds)
        elif fastest and getattr(row, "gflop", None):
            row = dataclasses.replace(row, floor_seconds=row.gflop / fastest)
        if row.name in theirs:
            seconds = theirs[row.name](job.repeats)
            row = dataclasses.replace(row, against_seconds=seconds)
        yield row


def pytorch_work(settings: dict, batch: int, checkout: str) -> dict[str, Callable]:
    """{row name: (repeats) -> seconds} of a checkout of the published program."""
    if settings["losses"]["pl_weight"] and not settings["updates"]["G_reg_interval"]:
        raise ValueError(
            "--against=pytorch: Gboth holds path lengths; set updates.G_reg_interval"
        )
    losses, size = settings["losses"], settings["discriminator"]["resolution"]
    if losses["objective"] != "logistic" or losses["r2_gamma"]:
        raise ValueError("--against=pytorch: it has the logistic loss and R1 alone")
    if not isinstance(size, int):
        raise ValueError(f"--against=pytorch: its images are square, not {size}")
    if jax.default_backend() == "tpu":
        raise ValueError("--against=pytorch: it does not run on a TPU")
    pytorch.open_checkout(checkout)
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    G, D = pytorch.networks(settings["generator"], settings["discriminator"], device)
    work = pytorch.work(G, D, batch, settings["losses"]["r1_gamma"], device)
    return {
        name: functools.partial(pytorch.seconds, function, device=device)
        for name, function in work.items()
    }
