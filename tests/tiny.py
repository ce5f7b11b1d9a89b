"""A run whose generator has two classes, is tiny and untrained."""

import jax

from afgan_jax.networks import generator
from afgan_jax.runs import run_directory


def save_run(folder, pictures, **sizes):
    """The run in folder, of a set of pictures with classes, at step 3."""
    settings = {"z_dim": 8, "w_dim": 8, "channel_max": 8, "c_dim": 2} | sizes
    data = {"path": str(pictures), "mirror": True, "use_labels": True}
    G = generator.make_generator(**settings)
    config = {"generator": settings, "data": data}
    with run_directory.Run.create_or_open(folder, config) as run:
        run.save(3, {"G_ema": jax.jit(G.initialize)(jax.random.key(0))})
    return folder
