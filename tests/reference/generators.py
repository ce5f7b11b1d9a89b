"""The generators of the group `losses`, which other groups use too."""

from afgan_jax.interop import names as published
from afgan_jax.networks import generator
from reference import official

NOISE = {"const": {}, "none": {"noise": "none"}}  # random noise is not recorded


def present(cases: list[dict]) -> list[dict]:
    """The cases to run: all, but of the part kept here those whose generator is in it.

    In any other folder a case without its generator fails.
    """
    if official.folder() != official.DATA:
        return cases
    configs = official.index("losses")["configs"]
    return [case for case in cases if case["config"] in configs]


def make(config: str):
    """(G, how its noise is made) of a configuration."""
    index = official.index("losses")
    assert config in index.get("configs", {}), f"the group losses has no {config}"
    entry = index["configs"][config]
    official.only([entry["noise_mode"]], NOISE, f"noise of {config}:")
    constant = arrays(config).under("G/synthesis.b4.")
    kind = "stylegan2" if constant else "alias_free"
    settings = published.generator_settings(entry["G_kwargs"], kind)
    return generator.make_generator(**settings), NOISE[entry["noise_mode"]]


def arrays(config: str) -> official.Arrays:
    cases = official.index("losses")["cases"]
    files = {case["config"]: case["npz"] for case in cases}
    return official.Arrays("losses", files.get(config, f"{config}.npz"))


def variables(config: str) -> dict:
    """NumPy arrays of G."""
    return published.variables(arrays(config).under("G/"))
