"""The settings of a training: the functions whose arguments they are, and defaults."""

import os
from collections.abc import Mapping
from typing import Any

from afgan_jax import errors, image_size
from afgan_jax.augment import control
from afgan_jax.data import sets
from afgan_jax.metrics import evaluation
from afgan_jax.networks import discriminator, generator
from afgan_jax.runs import config as configs
from afgan_jax.runs import location, retention
from afgan_jax.sources import source as sources
from afgan_jax.training import burn_in as burn_ins
from afgan_jax.training import init_from, loop, losses, objectives, samples, step

PARTS_OF_LOOP = ("run", "program", "batches", "snapshots", "evaluate", "batch_size")
PARTS_OF_LOOP += ("profile", "checkpoint_minutes", "stall_minutes", "status")
# Sections of a config: the function whose arguments each one holds. In a tuple, the
# arguments named after the function come from the program.
SCHEMA = {
    "data": (sets.open_set, "cache_dir"),
    **sources.SCHEMA,
    "losses": (step.make_setup, "G", "D", "augment", "burn_in"),
    "burn_in": burn_ins.make_burn_in,
    "augment": control.make_control,
    "updates": (step.make_program, "setup", "devices"),
    "samples": (samples.Snapshots, "folder", "G", "archive", "over"),
    "metrics": evaluation.parse,
    "checkpoints": (retention.make_retention, "batch_size"),
    "train": (loop.train, *PARTS_OF_LOOP),
}


def load(config: str, changes: Mapping[str, Any] | None = None) -> dict:
    """All settings of a config, defaults included: {section: {name: value}}.

    config: a name such as "earth64:t", or a file; changes: {"section.name": value}.
    Raises ValueError for what is unknown, missing or of another type.
    """
    return configs.load(config, changes, SCHEMA)


def of_run(
    config: str,
    workdir: str | os.PathLike,
    changes: Mapping[str, Any] | None = None,
    source: str | None = None,
) -> tuple[dict, list[str]]:
    """(settings of the run in workdir, what to tell of them).

    source: what the run begins with, None: noise. A run that begins, or began, with
    weights of another has the settings of a transfer.
    """
    settings = load(config, changes)
    lines = fill_in(settings)
    is_transfer = source is not None
    place = location.of(workdir)
    if place.steps():
        is_transfer = (place.folder / init_from.RECORD).exists()
    if is_transfer:
        settings = init_from.adapt(settings, changes or {})
    return settings, lines


def fill_in(settings: dict) -> list[str]:
    """Sets what depends on other settings and is left open; a line on each."""
    if settings["losses"]["r1_gamma"] is not None:
        return []
    with errors.naming("discriminator"):
        h, w = image_size.size_of(settings["discriminator"]["resolution"])
    batch = max(settings["updates"]["batch_size"], 1)  # less is refused later
    gamma = losses.usual_r1_gamma(h * w, batch)
    settings["losses"]["r1_gamma"] = gamma
    return [
        f"losses.r1_gamma={gamma:z.4g}, as none is given: {losses.GAMMA_0} x"
        f" {w} x {h} pixels / batch {batch} (StyleGAN3 paper, appendix F)"
    ]


def make_networks(settings: dict) -> tuple:
    """(G, D) of a config, whose sections are named in what is wrong with them."""
    with errors.naming("generator"):
        G = generator.make_generator(**settings["generator"])
    with errors.naming("discriminator"):
        D = discriminator.make_discriminator(**settings["discriminator"])
    return G, D


def make_setup(settings: dict) -> objectives.Setup:
    """The networks and what they minimise."""
    G, D = make_networks(settings)
    augment = control.make_control(**settings["augment"])
    burn_in = burn_ins.make_burn_in(**settings["burn_in"])
    return step.make_setup(G, D, augment=augment, burn_in=burn_in, **settings["losses"])
