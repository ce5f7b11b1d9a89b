"""configs/ablation.py: what its rows and options say, and what they refuse."""

import pathlib

import pytest

from afgan_jax.__main__ import main
from afgan_jax.assembly import settings as assembled
from afgan_jax.networks import generator
from afgan_jax.runs import config

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
ROWS = "abcdefghtr"
CHANGES = {  # against the row above, whatever the config states beside
    "b": {"synthesis.input", "synthesis.kind"},
    "c": {
        "synthesis.noise",
        "losses.pl_weight",
        "losses.style_mixing_prob",
        "updates.G_reg_interval",
    },
    "d": {
        "discriminator.mbstd_group_size",
        "mapping.num_layers",
        "synthesis.architecture",
        "synthesis.magnitude_ema_beta",
        "synthesis.output_scale",
    },
    "e": {"synthesis.lowpass", "synthesis.margin"},
    "f": {"synthesis.num_critical", "synthesis.schedule", "synthesis.kind"},
    "g": {"synthesis.num_critical"},
    "h": {"synthesis.input"},
    "t": {"synthesis.schedule"},
    "r": {
        "synthesis.channel_base",
        "synthesis.channel_max",
        "synthesis.conv_kernel",
        "synthesis.radial",
        "losses.blur_fade_kimg",
        "losses.blur_init_sigma",
    },
}


def load(arg, **overrides):
    return config.load(f"{CONFIGS / 'ablation.py'}:{arg}", overrides, assembled.SCHEMA)


def differing(one, other):
    """Names of settings, those of one kind alone aside, without "generator."."""
    lines = config.difference(one, other)
    if value(one, "generator.synthesis.kind") != value(
        other, "generator.synthesis.kind"
    ):
        lines = [
            line
            for line in lines
            if not line.startswith("generator.synthesis.")
            or line.partition(":")[0].endswith((".input", ".schedule", ".num_critical"))
            or "unset" not in line
        ]
    return {line.partition(":")[0].removeprefix("generator.") for line in lines}


value = config.value


@pytest.mark.parametrize(("above", "row"), list(zip(ROWS, ROWS[1:])))
def test_a_row_changes_of_the_row_above_what_the_paper_says(above, row):
    assert differing(load(above), load(row)) == CHANGES[row]


@pytest.mark.parametrize("row", "atr")
def test_rows_are_those_of_ffhqu256(row):
    published = config.load(f"{CONFIGS / 'ffhqu256.py'}:{row}", schema=assembled.SCHEMA)
    assert load(row) == published  # so test_configs has counted its parameters


def test_inputs_are_averaged_with_a_half_life_of_20_kimg():
    settings = load("d")
    steps = 20e3 / settings["updates"]["batch_size"]
    beta = value(settings, "generator.synthesis.magnitude_ema_beta")
    assert beta**steps == pytest.approx(0.5)


OPTIONS = {  # an ablation of a row: what it sets
    "r:lanczos": {"synthesis.lowpass": "lanczos"},
    "t:gaussian": {"synthesis.lowpass": "gaussian"},
    "r:n=8,m=4": {"synthesis.filter_size": 8, "synthesis.act_up": 4},
    "e:n=4": {"synthesis.filter_size": 4},
    "t:stopband=3.1": {"synthesis.first_stopband": 2**3.1},
    "t:margin=5,layers=10,critical=3": {
        "synthesis.margin": 5,
        "synthesis.num_layers": 10,
        "synthesis.num_critical": 3,
    },
    "t:mixing": {"losses.style_mixing_prob": 0.5},
    "r:noise": {"synthesis.noise": True},
    "r:fixed": {"synthesis.input": "fourier"},
    "t:path": {"losses.pl_weight": 0.5, "updates.G_reg_interval": 4},
    "r:inflexible,m=1": {"synthesis.schedule": "octaves", "synthesis.act_up": 1},
    "r:capacity=2": {"synthesis.channel_base": 2**16, "synthesis.channel_max": 2048},
    "t:p4": {
        "synthesis.symmetry": "p4",
        "synthesis.channel_base": 2**13,
        "synthesis.channel_max": 256,
    },
    "a:capacity=0.5": {"synthesis.channel_base": 2**13, "synthesis.channel_max": 256},
}


@pytest.mark.parametrize("arg", OPTIONS)
def test_an_option_sets_what_it_is_for_and_makes_a_generator(arg):
    row, ablated = load(arg[0]), load(arg)
    assert differing(row, ablated) == set(OPTIONS[arg])
    for name, expected in OPTIONS[arg].items():
        name = name.replace("synthesis", "generator.synthesis")
        assert value(ablated, name) == expected
    generator.make_generator(**ablated["generator"])


@pytest.mark.parametrize("row", ROWS)
def test_a_row_at_its_published_size_is_described_layer_by_layer(row):
    synthesis = generator.make_generator(**load(row)["generator"]).synthesis
    layers = synthesis.rows()
    last = layers[-1]["rate"], layers[-1]["size"][0]
    assert last == ((256, 276) if row == "e" else (256, 256))
    table = synthesis.describe().splitlines()[1:]
    assert [line.split()[0] for line in table] == [row["name"] for row in layers]


def test_the_command_line_passes_on_all_after_the_first_colon(tmp_path, capsys):
    arguments = [
        f"--config={CONFIGS / 'ablation.py'}:a:m=2,n=8",
        f"--workdir={tmp_path}",
    ]
    assert main(["train", *arguments]) == 2
    err = capsys.readouterr().err
    assert err == (
        "error: ablation.py:a: 'm=2' is not for row a: its nonlinearities are not"
        " filtered; those of rows from f on are\n"
    )


def test_t_without_flexible_layers_is_h():
    assert load("t:inflexible") == load("h")


@pytest.mark.parametrize("row", ROWS)
def test_a_small_row_differs_in_size_alone(row):
    small = load(f"{row}:small")
    assert small["data"]["path"] == "earth" and small["data"]["resolution"] == 64
    changed = differing(load(row), small)
    sizes = {"synthesis.channel_base", "synthesis.channel_max"}
    sizes |= {"synthesis.magnitude_ema_beta"}
    of_rows = {n for names in CHANGES.values() for n in names if "synthesis" in n}
    assert not changed & of_rows - sizes
    generator.make_generator(**small["generator"])


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("x", "ablation.py:x is unknown: rows are a, b, .* t, r, such as"),
        ("R", "ablation.py:R is unknown"),
        ("t:lancos", "ablation.py:t: 'lancos' is unknown: use some of small, capacity"),
        ("t:", "ablation.py:t: '' is unknown"),
        ("a:n=8", "ablation.py:a: 'n=8' is not for row a: its filters are bilinear"),
        ("a:noise", "'noise' is not for row a: it has noise inputs already"),
        ("g:fixed", "'fixed' is not for row g: its Fourier features are not transf"),
        ("h:stopband=3", "'stopband=3' is not for row h: bands of octaves follow"),
        ("t:n=8,n=4", "'n=4' is given twice"),
        ("t:mixing,mixing", "'mixing' is given twice"),
        ("t:n=many", "'n=many' must be a whole number from 2 to 32"),
        ("t:m=0", "'m=0' must be a whole number from 1 to 8"),
        ("t:capacity=nan", "'capacity=nan' must be a number from 0.01 to 16"),
        ("t:n", "'n' needs a value, as in n=2"),
        ("t:noise=1", "'noise=1' has no value"),
        ("r:lanczos,gaussian", "'gaussian' clashes with another: give one filter"),
        ("r:gaussian,n=8", "'n=8' clashes with another: n is the length of Kaiser"),
        (
            "t:layers=9,inflexible",
            "'inflexible' clashes with another: octaves have two",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(arg, message):
    with pytest.raises(ValueError, match=message) as error:
        load(arg)
    assert "\n" not in str(error.value)
