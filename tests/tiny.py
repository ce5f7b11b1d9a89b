"""Small generators in the words of tests: all settings side by side."""

import jax

from afgan_jax.networks import alias_free, generator, plan
from afgan_jax.runs import run_directory

MAPPING = ("z_dim", "c_dim", "w_dim", "w_avg_beta")


def sections(**settings) -> dict:
    """The arguments of make_generator: MAPPING to the mapping, others to synthesis."""
    mapping = {name: settings.pop(name) for name in MAPPING if name in settings}
    return {"mapping": mapping, "synthesis": settings}


def make_generator(**settings) -> generator.Generator:
    return generator.make_generator(**sections(**settings))


def make_plan(**settings) -> tuple[plan.LayerSpec, ...]:
    """The layers of an alias-free network."""
    return alias_free.make_synthesis(**settings).layers


def changed(settings: dict, **changes) -> dict:
    """Sections with some settings changed."""
    other = sections(**changes)
    return {name: settings.get(name, {}) | other[name] for name in other}


def save_run(folder, images, *, seed: int = 0, **sizes):
    """The run in folder, of a set of images with classes, at step 3.

    Its generator has two classes, is tiny and untrained.
    """
    settings = sections(
        **{"z_dim": 8, "w_dim": 8, "channel_max": 8, "c_dim": 2} | sizes
    )
    data = {"path": str(images), "mirror": True, "use_labels": True}
    G = generator.make_generator(**settings)
    config = {"generator": settings, "data": data}
    with run_directory.Run.create_or_open(folder, config) as run:
        run.save(3, {"G_ema": jax.jit(G.initialize)(jax.random.key(seed))})
    return folder
