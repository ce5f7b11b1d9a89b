"""The config files build the networks they promise."""

import inspect
import pathlib

import jax
import numpy as np
import pytest

from afgan_jax.analysis import published
from afgan_jax.assembly import settings as assembled
from afgan_jax.assembly import training
from afgan_jax.augment import control, pipeline
from afgan_jax.data import advice
from afgan_jax.networks import discriminator, generator
from afgan_jax.runs import config
from afgan_jax.training import losses, step

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
SAME_NETWORKS = {  # those of MetFaces begin as those of FFHQ
    "ffhq1024.py:t-u": "ffhq1024.py:t",
    "ffhq1024.py:r-u": "ffhq1024.py:r",
    "metfaces1024.py:t": "ffhq1024.py:t",
    "metfaces1024.py:r": "ffhq1024.py:r",
    "metfaces1024.py:t-u": "ffhq1024.py:t",
    "metfaces1024.py:r-u": "ffhq1024.py:r",
}
GAMMAS = {  # appendix F, Fig. 16
    "ffhqu256.py": {"t": 1, "r": 1, "a": 1},
    "afhqv2_512.py": {"t": 8.2, "r": 16.4},
    "ffhq1024.py": {"t": 32.8, "r": 32.8, "t-u": 32.8, "r-u": 32.8},
    "metfaces1024.py": {"t": 6.6, "r": 3.3, "t-u": 16.4, "r-u": 6.6},
}
# Batch, length in kimg, learning rate of D, half-life of the average in kimg.
LENGTHS = {
    "ffhqu256.py": (64, 25000, 0.0025, 20),
    "afhqv2_512.py": (32, 25000, 0.002, 10),
    "ffhq1024.py": (32, 25000, 0.002, 10),
    "metfaces1024.py": (32, 5000, 0.002, 10),
}
DEMOS = ("earth32.py", "earth32.py:t", "earth32.py:a", "earth64.py", "earth64.py:t")
DEMOS += ("earth64.py:a", "smoke.py", "ablation.py:g:small")


def count(tree) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def parameters(spec: str) -> tuple[int, int]:
    settings = config.load(str(CONFIGS / spec), schema=assembled.SCHEMA)
    G = generator.make_generator(**settings["generator"])
    D = discriminator.make_discriminator(**settings["discriminator"])
    one = jax.devices()[:1]
    setup = step.make_setup(G, D, **settings["losses"])
    program = step.make_program(setup, devices=one, **settings["updates"])
    state = jax.eval_shape(program.init, jax.random.key(0))
    return count(state.G["params"]), count(state.D["params"])


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, marks=[pytest.mark.slow] * ("ffhqu256" not in spec))
        for spec in PUBLISHED
    ],
)
def test_published_configs_have_the_published_parameter_counts(spec):
    assert parameters(spec) == PUBLISHED[spec]


@pytest.mark.parametrize("spec", SAME_NETWORKS)
def test_configs_share_networks_between_which_weights_are_taken_over(spec):
    these, others = (config.load(str(CONFIGS / s)) for s in (spec, SAME_NETWORKS[spec]))
    for network in ("generator", "discriminator"):
        assert these[network] == others[network]


@pytest.mark.parametrize("spec", (*PUBLISHED, *SAME_NETWORKS))
def test_published_configs_have_the_published_constants(spec):
    name, _, arg = spec.partition(":")
    settings = config.load(str(CONFIGS / spec), schema=assembled.SCHEMA)
    updates = settings["updates"]
    assert settings["losses"]["r1_gamma"] == GAMMAS[name][arg]
    lengths = (updates["batch_size"], settings["train"]["total_kimg"])
    assert (*lengths, updates["D_lr"], updates["ema_kimg"]) == LENGTHS[name]
    rest = (updates["G_lr"], updates["beta2"], updates["D_reg_interval"])
    assert rest == (0.0025, 0.99, 16)
    depth = 8 if arg == "a" else 2
    assert settings["generator"]["mapping"]["num_layers"] == depth
    assert settings["data"]["mirror"]


def test_data_and_sizes_are_all_that_a_config_must_state(tmp_path):
    size = {"resolution": 64}
    sizes = {"generator": {"synthesis": size}, "discriminator": size}
    minimal = {"data": {"path": "earth"}} | sizes
    path = tmp_path / "minimal.py"
    path.write_text(f"def get_config():\n    return {minimal}\n")
    settings = config.load(str(path), schema=assembled.SCHEMA)
    (line,) = assembled.fill_in(settings)
    assert (
        "losses.r1_gamma=0.128" in line and "0.001 x 64 x 64 pixels / batch 32" in line
    )
    setup, program = training.build(settings)
    assert setup.r1_gamma == pytest.approx(0.001 * 64 * 64 / 32)
    assert [phase.name for phase in program.phases] == ["Gboth", "Dmain", "Dreg"]
    assert settings["train"]["total_kimg"] == 25000
    assert assembled.fill_in(settings) == []


@pytest.mark.parametrize("spec", DEMOS)
def test_demo_configs_fit_a_small_machine(spec):
    assert max(parameters(spec)) < 1_000_000


def test_every_config_file_is_tested():
    tested = {spec.partition(":")[0] for spec in (*PUBLISHED, *SAME_NETWORKS, *DEMOS)}
    configs = {
        p.name for p in CONFIGS.glob("*.py") if "def get_config" in p.read_text()
    }
    assert tested == configs


@pytest.mark.parametrize("spec", (*PUBLISHED, *SAME_NETWORKS, *DEMOS))
def test_only_the_small_published_sets_are_augmented(spec):
    settings = config.load(str(CONFIGS / spec), schema=assembled.SCHEMA)
    ada = control.make_control(**settings["augment"])
    assert (ada is not None) == spec.startswith(("afhqv2", "metfaces"))
    if ada is not None:
        assert (ada.p, ada.target, ada.interval, ada.adjust_kimg) == (0, 0.6, 4, 500)
        on = [name for name, m in ada.multipliers.items() if m]
        assert tuple(on) == pipeline.PRESETS["bgc"]


@pytest.mark.parametrize(
    "name",
    [
        "afhqv2_512.py",
        "ffhqu256.py",
        "ffhq1024.py",
        "metfaces1024.py",
        "earth64.py",
        "ablation.py",
    ],
)
def test_an_unknown_configuration_is_named(name):
    with pytest.raises(ValueError, match=f"{name}:x is unknown"):
        config.load(f"{CONFIGS / name}:x")


def test_config_r_blurs_as_published():
    settings = config.load(str(CONFIGS / "ffhq1024.py:r"))["losses"]
    assert (settings["blur_init_sigma"], settings["blur_fade_kimg"]) == (10, 200)
    assert set(settings) <= set(inspect.signature(step.make_setup).parameters)


def test_the_check_of_a_set_and_training_agree_on_gamma():
    assert advice.GAMMA_0 == losses.GAMMA_0 == 0.001


def test_the_readme_has_the_published_results():
    text = (CONFIGS / "README.md").read_text()
    rows = {f"ablation:{row}": found for row, found in published.LADDER.items()}
    assert published.table(published.CONFIGS) in text and published.table(rows) in text
    assert {s.replace(".py", "") for s in (*PUBLISHED, *SAME_NETWORKS)} == set(
        published.CONFIGS
    )
