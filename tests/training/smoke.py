"""Runs of the configuration `smoke`: how they are set up, what they leave behind."""

import pathlib

import jax
import numpy as np

from afgan_jax import jax_settings
from afgan_jax.assembly import settings as assembled
from afgan_jax.assembly import training
from afgan_jax.runs import run_directory
from afgan_jax.training import loop, step

ROOT = pathlib.Path(__file__).parents[2]
SMOKE = str(ROOT / "configs" / "smoke.py")


def settings(images, kimg: float, **more) -> dict:
    return {
        "data.path": str(images),
        "train.total_kimg": kimg,
        "train.tick_kimg": 0.032,
    } | more


def train(folder, changes: dict) -> None:
    """Train in the folder with these changes of the configuration."""
    training.train(SMOKE, folder, changes=changes)


def program(config) -> step.Program:
    """Of these settings, on one device."""
    setup = assembled.make_setup(config)
    return step.make_program(setup, devices=jax.devices()[:1], **config["updates"])


def checkpoint(folder) -> dict:
    """Every array of the newest checkpoint, by path, on one device."""
    run = run_directory.Run.open(folder)
    state = loop.restore(run, program(run.config), jax_settings.key(0))
    run.close()
    leaves = jax.tree_util.tree_leaves_with_path(vars(state))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
