"""Networks out of run directories: made from the settings, with weights of a step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from afgan_jax.networks import discriminator, generator
from afgan_jax.runs import config as config_lib
from afgan_jax.runs import run_directory


def split_step(source: str) -> tuple[str, int | None]:
    """(RUN, STEP) of "RUN@STEP"; (RUN, None) of a path alone."""
    path, at, step = source.rpartition("@")
    if not (at and step.isdecimal()) or Path(source).expanduser().exists():
        return source, None
    return path, int(step)


def load_generator(
    path: str | Path, step: int | None = None, **changes: Any
) -> tuple[Any, Any, int]:
    """Returns (G, variables, step) with the averaged weights of a run's checkpoint.

    `changes` replace settings of the generator that leave its variables' shapes alone,
    such as kernel="none". Reads nothing else of the checkpoint.
    """
    run = run_directory.Run.open(path)
    G = _made(run, "generator", generator.make_generator, changes)
    step, variables = _restored(run, "G_ema", G, step)
    return G, variables, step


def load_discriminator(
    path: str | Path, step: int | None = None
) -> tuple[Any, Any, int]:
    """Returns (D, variables, step) of a run's checkpoint, and reads nothing else."""
    run = run_directory.Run.open(path)
    D = _made(run, "discriminator", discriminator.make_discriminator, {})
    step, variables = _restored(run, "D", D, step)
    return D, variables, step


def _made(run: run_directory.Run, section: str, make, changes: Mapping[str, Any]):
    """The network that the run's config and `changes` to it describe."""
    settings = {section: run.config.get(section, {})}
    try:
        config_lib.check(settings, {section: make})
    except ValueError as error:
        raise ValueError(
            f"{run.path / 'config.json'} is of another version of this program: {error}"
        ) from None
    return make(**settings[section] | changes)


def _restored(
    run: run_directory.Run, part: str, network, step: int | None
) -> tuple[int, Any]:
    """(step, variables) of one part of a checkpoint, on the first device."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        jax.eval_shape(network.initialize, jax.random.key(0)),
    )
    with run:
        step, tree = run.restore({part: abstract}, step, partial=True)
    return step, tree[part]
