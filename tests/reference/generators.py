"""The generators of the group `losses`, which other groups use too."""

import pytest

from afgan_jax.interop import names as published
from afgan_jax.networks import generator
from reference import official

NOISE = {"const": {}, "none": {"noise": "none"}}  # random noise is not recorded


def make(config: str):
    """(G, how its noise is made) of a configuration.

    Skips the test where the folder has no such configuration.
    """
    index = official.index("losses")
    if config not in index.get("configs", {}):
        pytest.skip(f"the group losses, of the generator {config}, is not there")
    entry = index["configs"][config]
    official.only([entry["noise_mode"]], NOISE, f"noise of {config}:")
    settings = published.settings(entry["G_kwargs"])
    if arrays(config).under("G/synthesis.b4."):
        settings["synthesis"] = "stylegan2"
    return generator.make_generator(**settings), NOISE[entry["noise_mode"]]


def arrays(config: str) -> official.Arrays:
    cases = official.index("losses")["cases"]
    files = {case["config"]: case["npz"] for case in cases}
    return official.Arrays("losses", files.get(config, f"{config}.npz"))


def variables(config: str) -> dict:
    """NumPy arrays of G."""
    return published.variables(arrays(config).under("G/"))
