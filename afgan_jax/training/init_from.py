"""Weights that begin a run: train --init-from.

Weights and buffers (w_avg, magnitude_ema) of G, D and G_ema are taken over, nothing
else: optimisers, the mean of path lengths, p and all counts start anew. Whatever the
new run's config says for a beginning from noise is replaced by SETTINGS, as in the
published program; --config.SECTION.KEY=VALUE still has the last word.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from afgan_jax.interop import snapshot
from afgan_jax.networks import discriminator, generator
from afgan_jax.runs import atomic, run_directory, saved_networks
from afgan_jax.runs import config as config_lib
from afgan_jax.training import loop, transfer
from afgan_jax.training import state as states

# G starts well: its average need not hurry, D needs no blur, p may rise at once.
SETTINGS = {
    "augment.adjust_kimg": 100.0,
    "losses.blur_init_sigma": 0.0,
    "updates.ema_rampup": None,
}
SCHEMA = saved_networks.SCHEMA
# Settings of networks under which the same weights make the same images and logits,
# but for rounding and the make-up of a batch.
FREE_SETTINGS = (
    *(
        f"{section}.{key}"
        for section in ("generator.synthesis", "discriminator")
        for key in ("conv_clamp", "dtype", "num_half_res", "remat")
    ),
    "generator.mapping.w_avg_beta",
    "generator.synthesis.magnitude_ema_beta",
    "discriminator.mbstd_group_size",
    "discriminator.mbstd_layout",
)
C_DIMS = ("generator.mapping.c_dim", "discriminator.c_dim")
RECORD = "transfer.txt"  # in the new run, says what was taken over


@dataclasses.dataclass(frozen=True)
class Donor:
    """Where weights come from: a checkpoint of a run, or a published snapshot.

    read(abstract) returns what it is called, and its tree of transfer.PARTS on the
    devices that the tree of jax.ShapeDtypeStruct says.
    """

    path: Path
    settings: config_lib.Config  # of SCHEMA
    shapes: dict  # of transfer.PARTS
    read: Callable[[dict], tuple[str, dict]]


def find(text: str) -> Donor:
    """The donor that RUN, RUN@STEP or a published snapshot's FILE names.

    Raises ValueError if there is no such run or step, or this program cannot read it.
    """
    path, step = saved_networks.split_step(text)
    if Path(path).is_file():
        return _snapshot(Path(path))
    return _run(text, path, step)


def _run(text: str, path: str, step: int | None) -> Donor:
    with run_directory.Run.open(path) as run:
        settings = {name: run.config.get(name, {}) for name in SCHEMA}
        steps = run.steps()
        if not steps or step not in (None, *steps):
            raise ValueError(
                f"--init-from={text} has no such checkpoint; steps: {steps}"
            )
    settings, shapes = _describe(settings, f"{path}/config.json")

    def read(abstract):
        with run_directory.Run.open(run.path) as opened:
            found, weights = opened.restore(abstract, step, partial=True)
        return f"{run.path}, step {found}", weights

    return Donor(run.path, settings, shapes, read)


def _snapshot(path: Path) -> Donor:
    """Of a file that the published program wrote; nothing in it is run."""
    what = f"--init-from={path}"
    parts = snapshot.read(path, transfer.PARTS)
    settings = {
        "generator": parts["G_ema"].settings,
        "discriminator": parts["D"].settings,
    }
    settings, shapes = _describe(settings, what)
    weights = {part: network.variables for part, network in parts.items()}
    rows = transfer.match(weights, shapes)
    wrong = [row for row in rows if row.kind != "loaded"]
    if wrong:
        raise ValueError(
            f"{what} has other tensors than its settings say: {wrong[0].line()}"
        )

    def read(abstract):
        fresh = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), abstract)
        whole = transfer.begin(fresh, weights, rows)
        place = jax.tree.map(lambda x: x.sharding, abstract)
        return str(path), jax.device_put(whole, place)

    return Donor(path, settings, shapes, read)


def _describe(settings: config_lib.Config, what: str) -> tuple[config_lib.Config, dict]:
    """All settings of networks, and the shapes of their variables."""
    settings = config_lib.check_saved(settings, SCHEMA, what)
    networks = (
        generator.make_generator(**settings["generator"]),
        discriminator.make_discriminator(**settings["discriminator"]),
    )
    G, D = jax.eval_shape(
        functools.partial(states.initialize, G=networks[0], D=networks[1]),
        jax.random.key(0),
    )
    return settings, {"G": G, "D": D, "G_ema": G}


def adapt(settings: config_lib.Config, overrides: Mapping) -> config_lib.Config:
    """The settings with SETTINGS in them, but for those that `overrides` name."""
    changed = {section: dict(values) for section, values in settings.items()}
    for name, value in SETTINGS.items():
        if name not in overrides:
            section, key = name.split(".")
            changed[section][key] = value
    return changed


def check(
    donor: Donor, settings: config_lib.Config, shapes: dict, partial: bool
) -> tuple[transfer.Row, ...]:
    """What becomes of every tensor in networks of these settings and shapes.

    Raises ValueError for networks that differ otherwise than by having labels where
    the donor has none, unless `partial`.
    """
    rows = transfer.match(donor.shapes, shapes)
    ours = {name: settings[name] for name in SCHEMA}
    value = config_lib.value
    new_labels = all(value(donor.settings, c) == 0 < value(ours, c) for c in C_DIMS)
    free = {*FREE_SETTINGS, *(C_DIMS if new_labels else ())}
    differing = [
        line
        for line in config_lib.difference(donor.settings, ours)
        if line.partition(":")[0] not in free
    ]
    misfits = transfer.misfits(rows, new_labels)
    if partial or not (differing or misfits):
        return rows
    raise ValueError(_refusal(donor, differing, misfits))


def shapes_of(program) -> dict:
    """The tree of a program's networks, as `check` takes it."""
    return _parts(jax.eval_shape(program.init, jax.random.key(0)))


def begin(
    donor: Donor, settings: config_lib.Config, program, *, partial: bool
) -> tuple[states.TrainState, str]:
    """A state to train from, on the program's devices, and the record of its making.

    Raises ValueError as `check` does, and if the donor's checkpoints are damaged.
    """
    _, key = loop.keys(program, settings["train"]["seed"])
    rows = check(donor, settings, shapes_of(program), partial)
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=program.replicated),
        donor.shapes,
    )
    source, weights = donor.read(abstract)
    take = functools.partial(transfer.begin, rows=rows)
    fresh = program.init(key)
    parts = jax.jit(take, out_shardings=program.replicated)(_parts(fresh), weights)
    stated = [f"{name}={config_lib.value(settings, name)}" for name in SETTINGS]
    record = (
        f"weights of {source}, with {', '.join(stated)}\n"
        f"tensors of G, D and G_ema:\n{transfer.table(rows)}\n"
    )
    return fresh.replace(**parts), record


def save(run: run_directory.Run, state: states.TrainState, record: str) -> None:
    """Makes the state the run's first checkpoint, from which training goes on."""
    if jax.process_index() == 0:
        atomic.write(run.path / RECORD, record)
    run.save(0, states.to_tree(state))
    run.checkpoints.wait()


def _parts(state: states.TrainState) -> dict[str, Any]:
    return {part: getattr(state, part) for part in transfer.PARTS}


def _refusal(donor: Donor, differing: list[str], misfits: list) -> str:
    """What keeps the weights from being taken over, and the flags that help."""
    lost = f"{len(misfits)} tensors do not fit"
    if misfits:
        lost += f", such as {misfits[0].target or misfits[0].source}"
    if not differing:
        return (
            f"--init-from={donor.path}: {lost}, though the settings agree: pass"
            " --partial to take over the others"
        )
    names = [line.partition(":")[0] for line in differing]
    flags = [
        f"--config.{name}={config_lib.value(donor.settings, name)}" for name in names
    ]
    return (
        f"--init-from={donor.path} has other networks: {', '.join(differing)}; {lost}:"
        f" pass {' '.join(flags)} or --partial to take over what fits"
    )
