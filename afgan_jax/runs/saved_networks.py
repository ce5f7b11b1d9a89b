"""Networks of run directories, with the weights of a checkpoint."""

from pathlib import Path
from typing import Any

import jax

from afgan_jax import jax_settings
from afgan_jax.networks import discriminator, generator, mapping
from afgan_jax.runs import config as config_lib
from afgan_jax.runs import location, run_directory

# The sections of a config that networks are made from.
SCHEMA = {
    "generator": {
        "mapping": (mapping.make_mapping, "num_ws"),
        "synthesis": config_lib.Kinds(generator.SYNTHESES, generator.DEFAULT_KIND),
    },
    "discriminator": discriminator.make_discriminator,
}


def split_step(source: str) -> tuple[str, int | None]:
    """(RUN, STEP) of "RUN@STEP"; (RUN, None) of a path alone."""
    path, at, step = source.rpartition("@")
    if not (at and step.isdecimal()) or location.of(source).exists():
        return source, None
    return path, int(step)


def load_generator(
    path: str | Path, step: int | None = None, **changes: Any
) -> tuple[Any, Any, int]:
    """(G, variables, step) with the averaged weights of a run's checkpoint.

    `changes` replace settings of its synthesis network that do not change the shapes
    of variables, such as lowpass="none". Reads nothing else of the checkpoint.
    """
    run = run_directory.Run.open(path)
    settings = generator.changed(settings_of(run, "generator"), **changes)
    G = generator.make_generator(**settings)
    step, variables = _restored(run, "G_ema", G, step)
    return G, variables, step


def load_discriminator(
    path: str | Path, step: int | None = None
) -> tuple[Any, Any, int]:
    """(D, variables, step) of a run's checkpoint; reads nothing else of it."""
    run = run_directory.Run.open(path)
    D = discriminator.make_discriminator(**settings_of(run, "discriminator"))
    step, variables = _restored(run, "D", D, step)
    return D, variables, step


def settings_of(run: run_directory.Run, section: str) -> dict[str, Any]:
    """A section of SCHEMA with all settings of a run's network.

    Raises ValueError if the run is of another version of this program.
    """
    stated = {section: run.config.get(section, {})}
    where = f"{run.location}/config.json"
    return config_lib.check_saved(stated, {section: SCHEMA[section]}, where)[section]


def _restored(
    run: run_directory.Run, part: str, network, step: int | None
) -> tuple[int, Any]:
    """(step, variables) of one part of a checkpoint, on the first device."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        jax.eval_shape(network.initialize, jax_settings.key(0)),
    )
    with run:
        step, tree = run.restore({part: abstract}, step, partial=True)
    return step, tree[part]
