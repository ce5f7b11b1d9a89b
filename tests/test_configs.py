"""The config files build the networks they promise."""

import inspect
import pathlib

import jax
import numpy as np
import pytest

from afgan_jax import cli, config
from afgan_jax.augment import control, pipeline
from afgan_jax.networks import discriminator, generator
from afgan_jax.training import step

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
PUBLISHED = {  # parameters of G and D
    "ffhqu256.py:t": (23_320_443, 24_001_089),
    "ffhqu256.py:r": (15_779_565, 24_001_089),
    "ffhqu256.py:a": (24_767_458, 24_001_089),
    "afhqv2_512.py:t": (24_873_519, 28_982_849),
    "afhqv2_512.py:r": (16_665_594, 28_982_849),
    "ffhq1024.py:t": (22_313_167, 29_012_513),
    "ffhq1024.py:r": (15_093_151, 29_012_513),
}
DEMOS = ("earth32.py", "earth64.py", "earth64.py:t", "smoke.py")


def count(tree) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def parameters(spec: str) -> tuple[int, int]:
    settings = config.load(str(CONFIGS / spec))
    G = generator.make_generator(**settings["generator"])
    D = discriminator.make_discriminator(**settings["discriminator"])
    step.make_setup(G, D, **settings["losses"])
    one = jax.devices()[:1]
    setup = step.make_setup(G, D, **settings["losses"])
    program = step.make_program(setup, devices=one, **settings["updates"])
    state = jax.eval_shape(program.init, jax.random.key(0))
    return count(state.G["params"]), count(state.D["params"])


@pytest.mark.parametrize("spec", PUBLISHED)
def test_published_configs_have_the_published_parameter_counts(spec):
    assert parameters(spec) == PUBLISHED[spec]


@pytest.mark.parametrize("spec", DEMOS)
def test_demo_configs_fit_a_small_machine(spec):
    assert max(parameters(spec)) < 1_000_000


def test_every_config_file_is_tested():
    tested = {spec.partition(":")[0] for spec in (*PUBLISHED, *DEMOS)}
    assert tested == {path.name for path in CONFIGS.glob("*.py")}


@pytest.mark.parametrize("spec", (*PUBLISHED, *DEMOS))
def test_only_the_small_published_set_is_augmented(spec):
    settings = config.load(str(CONFIGS / spec), schema=cli.schema())
    ada = control.make_control(**settings["augment"])
    assert (ada is not None) == spec.startswith("afhqv2")
    if ada is not None:
        assert (ada.p, ada.target, ada.interval, ada.adjust_kimg) == (0, 0.6, 4, 500)
        on = [name for name, m in ada.multipliers.items() if m]
        assert tuple(on) == pipeline.PRESETS["bgc"]


@pytest.mark.parametrize(
    "name", ["afhqv2_512.py", "ffhqu256.py", "ffhq1024.py", "earth64.py"]
)
def test_an_unknown_configuration_is_named(name):
    with pytest.raises(ValueError, match=f"{name}:x is unknown"):
        config.load(f"{CONFIGS / name}:x")


def test_config_r_blurs_as_published():
    settings = config.load(str(CONFIGS / "ffhq1024.py:r"))["losses"]
    assert (settings["blur_init_sigma"], settings["blur_fade_kimg"]) == (10, 200)
    assert set(settings) <= set(inspect.signature(step.make_setup).parameters)
