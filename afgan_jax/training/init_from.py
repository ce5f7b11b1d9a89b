"""Weights of another training to start from: the argument init_from of train.

Weights and buffers (w_avg, magnitude_ema) of G, D and G_ema are taken over, nothing
else: optimisers, the mean of path lengths, p and all counts start anew. SETTINGS
replace the settings of the config that suit a start from noise, as in the published
program; settings given on the command line still come last.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from afgan_jax import errors, jax_settings, places
from afgan_jax.interop import snapshot
from afgan_jax.networks import discriminator, generator
from afgan_jax.runs import atomic, run_directory, saved_networks
from afgan_jax.runs import config as config_lib
from afgan_jax.training import loop, transfer
from afgan_jax.training import state as states

# G starts trained: its average needs no ramp-up, D no blur, and p may rise at once.
SETTINGS = {
    "augment.adjust_kimg": 100.0,
    "losses.blur_init_sigma": 0.0,
    "updates.ema_rampup": None,
}
SCHEMA = saved_networks.SCHEMA
# Settings of networks that do not change what the weights compute, but for rounding
# and minibatch statistics.
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
RECORD = "transfer.txt"  # in the new run: what was taken over


@dataclasses.dataclass(frozen=True)
class Source:
    """Where weights come from: a checkpoint of a run, or a published snapshot.

    read(abstract) returns a description and the tree of transfer.PARTS, placed as
    `abstract`, its tree of jax.ShapeDtypeStruct, says.
    """

    path: str
    settings: config_lib.Config  # of SCHEMA
    shapes: dict  # of transfer.PARTS
    read: Callable[[dict], tuple[str, dict]]


def find(text: str) -> Source:
    """The source RUN, RUN@STEP, or FILE of a published snapshot.

    Raises ValueError if there is no such run or step, or it is of another version.
    """
    path, step = saved_networks.split_step(text)
    if places.local(path).is_file():
        return _snapshot(places.local(path))
    return _run(text, path, step)


def _run(text: str, path: str, step: int | None) -> Source:
    with run_directory.Run.open(path) as run:
        settings = {name: run.config.get(name, {}) for name in SCHEMA}
        steps = run.steps()
        if not steps or step not in (None, *steps):
            why = f"has no such checkpoint; use one of {steps}"
            raise errors.SettingError("init_from", text, why)
    settings, shapes = _describe(settings, f"{path}/config.json")

    def read(abstract):
        with run_directory.Run.open(path) as opened:
            found, weights = opened.restore(abstract, step, partial=True)
        return f"{run.location}, step {found}", weights

    return Source(str(run.location), settings, shapes, read)


def _snapshot(path: Path) -> Source:
    """The source in a file of the published program; no code in it is run."""
    parts = snapshot.read(path, transfer.PARTS)
    settings = {
        "generator": parts["G_ema"].settings,
        "discriminator": parts["D"].settings,
    }
    settings, shapes = _describe(settings, str(path))
    weights = {part: network.variables for part, network in parts.items()}
    rows = transfer.match(weights, shapes)
    wrong = [row for row in rows if row.kind != "loaded"]
    if wrong:
        why = f"has other tensors than its settings say: {wrong[0].line()}"
        raise errors.SettingError("init_from", str(path), why)

    def read(abstract):
        fresh = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), abstract)
        tree = transfer.begin(fresh, weights, rows)
        place = jax.tree.map(lambda x: x.sharding, abstract)
        return str(path), jax.device_put(tree, place)

    return Source(str(path), settings, shapes, read)


def _describe(settings: config_lib.Config, where: str) -> tuple:
    """(all settings of the networks, shapes of their variables)."""
    settings = config_lib.check_saved(settings, SCHEMA, where)
    G = generator.make_generator(**settings["generator"])
    D = discriminator.make_discriminator(**settings["discriminator"])
    initialize = functools.partial(states.initialize, G=G, D=D)
    G_shapes, D_shapes = jax.eval_shape(initialize, jax_settings.key(0))
    return settings, {"G": G_shapes, "D": D_shapes, "G_ema": G_shapes}


def adapt(settings: config_lib.Config, overrides: Mapping) -> config_lib.Config:
    """The settings changed as SETTINGS says, except those named in `overrides`."""
    changed = {section: dict(values) for section, values in settings.items()}
    for name, value in SETTINGS.items():
        if name not in overrides:
            section, key = name.split(".")
            changed[section][key] = value
    return changed


def check(
    source: Source, settings: config_lib.Config, shapes: dict, partial: bool
) -> tuple[transfer.Row, ...]:
    """What becomes of every tensor in networks of these settings and shapes.

    Unless `partial`, raises SettingError for networks that differ in more than labels
    that the source does not have.
    """
    rows = transfer.match(source.shapes, shapes)
    current = {name: settings[name] for name in SCHEMA}
    value = config_lib.value
    new_labels = all(value(source.settings, c) == 0 < value(current, c) for c in C_DIMS)
    free = {*FREE_SETTINGS, *(C_DIMS if new_labels else ())}
    differing = [
        line
        for line in config_lib.difference(source.settings, current)
        if line.partition(":")[0] not in free
    ]
    misfits = transfer.misfits(rows, new_labels)
    if partial or not (differing or misfits):
        return rows
    why = _difference(source, differing, misfits)
    raise errors.SettingError("init_from", source.path, why)


def shapes_of(program) -> dict:
    """The tree of a program's networks, as `check` takes it."""
    return _parts(jax.eval_shape(program.init, jax_settings.key(0)))


def begin(
    source: Source, settings: config_lib.Config, program, *, partial: bool
) -> tuple[states.TrainState, str]:
    """A state to train from, on the program's devices, and a record of its origin.

    Raises ValueError as `check` does, and if the source's checkpoints are damaged.
    """
    _, key = loop.keys(program, settings["train"]["seed"])
    rows = check(source, settings, shapes_of(program), partial)
    abstract = states.abstract(source.shapes, program.replicated)
    name, weights = source.read(abstract)
    take = functools.partial(transfer.begin, rows=rows)
    fresh = program.init(key)
    parts = jax.jit(take, out_shardings=program.replicated)(_parts(fresh), weights)
    stated = [f"{key}={config_lib.value(settings, key)}" for key in SETTINGS]
    record = (
        f"weights of {name}, with {', '.join(stated)}\n"
        f"tensors of G, D and G_ema:\n{transfer.table(rows)}\n"
    )
    return fresh.replace(**parts), record


def save(run: run_directory.Run, state: states.TrainState, record: str) -> None:
    """Saves the state as the run's first checkpoint, from which training resumes."""
    if jax.process_index() == 0:
        atomic.write(run.path / RECORD, record)
    run.save(0, states.to_tree(state))
    run.checkpoints.wait()


def _parts(state: states.TrainState) -> dict[str, Any]:
    return {part: getattr(state, part) for part in transfer.PARTS}


def _difference(source: Source, differing: list[str], misfits: list) -> str:
    """Why the weights cannot be taken over, and the settings that help."""
    lost = f"{len(misfits)} tensors do not match"
    if misfits:
        lost += f", such as {misfits[0].target or misfits[0].source}"
    if not differing:
        return f"has the same settings, but {lost}: use partial for the others"
    pairs = [line.partition(": ")[::2] for line in differing]
    names = [name for name, change in pairs if not change.startswith("unset ->")]
    fix = " ".join(f"{n}={config_lib.value(source.settings, n)}" for n in names)
    return (
        f"has other networks: {', '.join(differing)}; {lost}: set {fix}, or use partial"
        " for the tensors that match"
    )
