"""Small generators in the words of tests: all settings side by side."""

import jax
import numpy as np

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

    Its generator has two classes, is tiny, and as if trained (see `trained`).
    """
    settings = sections(
        **{"z_dim": 8, "w_dim": 8, "channel_max": 8, "c_dim": 2} | sizes
    )
    data = {"path": str(images), "mirror": True, "use_labels": True}
    G = generator.make_generator(**settings)
    config = {"generator": settings, "data": data}
    with run_directory.Run.create_or_open(folder, config) as run:
        run.save(3, {"G_ema": trained(jax.jit(G.initialize)(jax.random.key(seed)))})
    return folder


def trained(variables: dict, seed: int = 0) -> dict:
    """The variables with every parameter and average moved, as training does.

    Those of a new network hide what is left out of it: biases, noise and averages of w
    are 0, magnitudes 1, and w turns nothing.
    """
    rng = np.random.RandomState(seed)

    def move(path, leaf):
        noise = np.asarray(rng.standard_normal(leaf.shape), leaf.dtype)
        match path[0].key, path[-1].key:
            case ("params", _) | (_, "w_avg"):
                return leaf + 0.1 * noise
            case (_, "magnitude_ema"):
                return leaf * np.exp(0.3 * noise) / 1.5  # more contrast
        return leaf

    return jax.tree_util.tree_map_with_path(move, variables)
