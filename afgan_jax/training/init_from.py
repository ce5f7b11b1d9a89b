"""Weights of another training to start from: the argument init_from of train.

Weights and buffers (w_avg, magnitude_ema) of G, D and G_ema are taken over, nothing
else: optimisers, the mean of path lengths, p and all counts start anew. SETTINGS
replace the settings of the config that suit a start from noise, as in the published
program; settings given on the command line still come last.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from afgan_jax import errors, jax_settings
from afgan_jax.runs import atomic, run_directory
from afgan_jax.runs import config as config_lib
from afgan_jax.sources import find as sources
from afgan_jax.sources import source
from afgan_jax.training import burn_in, loop, transfer
from afgan_jax.training import state as states

# G starts trained: its average needs no ramp-up, D no blur, and p may rise at once.
SETTINGS = {
    "augment.adjust_kimg": 100.0,
    "burn_in.kimg": 0.0,
    **{f"burn_in.{name}": None for name in burn_in.NAMES},
    "losses.blur_init_sigma": 0.0,
    "updates.ema_rampup": None,
}
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


def find(text: str) -> source.Source:
    """The networks of RUN, RUN@STEP, a model file or a published snapshot.

    Raises ValueError if there is no such source, or this program cannot read it.
    """
    return sources.find(text, transfer.PARTS)


def shapes_in(found: source.Source) -> dict:
    """The tree of its networks; G is that of G_ema where it has no other."""
    shapes = {part: found.shapes(part) for part in found.parts}
    return {"G": shapes.get("G_ema", {})} | shapes


def adapt(settings: config_lib.Config, overrides: Mapping) -> config_lib.Config:
    """The settings changed as SETTINGS says, except those named in `overrides`."""
    changed = {section: dict(values) for section, values in settings.items()}
    for name, value in SETTINGS.items():
        if name not in overrides:
            section, key = name.split(".")
            changed[section][key] = value
    return changed


def check(
    found: source.Source, settings: config_lib.Config, shapes: dict, partial: bool
) -> tuple[transfer.Row, ...]:
    """What becomes of every tensor in networks of these settings and shapes.

    Unless `partial`, raises SettingError for networks that differ in more than labels
    that the source does not have.
    """
    rows = transfer.match(shapes_in(found), shapes)
    theirs = found.settings
    current = {name: settings[name] for name in theirs}
    value, c_dims = config_lib.value, [c for c in C_DIMS if c.split(".")[0] in theirs]
    new_labels = all(value(theirs, c) == 0 < value(current, c) for c in c_dims)
    free = {*FREE_SETTINGS, *(C_DIMS if new_labels else ())}
    differing = [
        line
        for line in config_lib.difference(theirs, current)
        if line.partition(":")[0] not in free
    ]
    misfits = transfer.misfits(rows, new_labels)
    if "D" not in found.parts:
        misfits = [row for row in misfits if not (row.target or "").startswith("D/")]
    if partial or not (differing or misfits):
        return rows
    why = _difference(found, differing, misfits)
    raise errors.SettingError("init_from", found.name, why)


def shapes_of(program) -> dict:
    """The tree of a program's networks, as `check` takes it."""
    return _parts(jax.eval_shape(program.init, jax_settings.key(0)))


def begin(
    found: source.Source, settings: config_lib.Config, program, *, partial: bool
) -> tuple[states.TrainState, str]:
    """A state to train from, on the program's devices, and a record of its origin.

    Raises ValueError as `check` does, and if the source's checkpoints are damaged.
    """
    _, key = loop.keys(program, settings["train"]["seed"])
    rows = check(found, settings, shapes_of(program), partial)
    shapes = {part: found.shapes(part) for part in found.parts}
    tree, name, _ = found.read(states.abstract(shapes, program.replicated))
    if "G" not in tree:
        tree = {"G": jax.tree.map(jnp.copy, tree.get("G_ema", {}))} | tree
    take = functools.partial(transfer.begin, rows=rows)
    fresh = program.init(key)
    parts = jax.jit(take, out_shardings=program.replicated)(_parts(fresh), tree)
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


def _typed(value) -> str:
    """A setting as it is typed on a command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _difference(found: source.Source, differing: list[str], misfits: list) -> str:
    """Why the weights cannot be taken over, and the settings that help."""
    lost = f"{len(misfits)} tensors do not match"
    if misfits:
        lost += f", such as {misfits[0].target or misfits[0].source}"
    if not differing:
        return f"has the same settings, but {lost}: use partial for the others"
    pairs = [line.partition(": ")[::2] for line in differing]
    names = [name for name, change in pairs if not change.startswith("unset ->")]
    theirs = [(name, config_lib.value(found.settings, name)) for name in names]
    fix = " ".join(f"{name}={_typed(value)}" for name, value in theirs)
    return (
        f"has other networks: {', '.join(differing)}; {lost}: set {fix}, or use partial"
        " for the tensors that match"
    )
