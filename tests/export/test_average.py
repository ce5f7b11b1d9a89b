"""`checkpoint average`: one generator of several checkpoints."""

import jax
import numpy as np
import pytest
import tiny

import afgan_jax
from afgan_jax.__main__ import main
from afgan_jax.networks import generator
from afgan_jax.runs import run_directory
from afgan_jax.sources import average

SMALL = {"resolution": 16, "num_layers": 4, "num_critical": 1}


def saved(folder, seed=0):
    """A run of two steps, whose trained numbers differ; and these trees by step."""
    run = tiny.save_run(folder, "nowhere.zip", seed=seed, **SMALL)
    with run_directory.Run.open(run) as opened:
        config = opened.config
        step, tree = opened.restore(
            {"G_ema": jax.eval_shape(lambda: network(config).initialize(key(seed)))},
            partial=True,
        )
    other = dict(tree["G_ema"])
    other["params"] = jax.tree.map(lambda x: 2 * x + 1, other["params"])
    with run_directory.Run.create_or_open(run, config) as opened:
        opened.save(step + 1, {"G_ema": other})
    return run, tree["G_ema"], other


def key(seed):
    return jax.random.key(seed)


def network(config):
    return generator.make_generator(**config["generator"])


@pytest.mark.slow
def test_the_average_lies_between(tmp_path, capsys):
    run, first, second = saved(tmp_path / "run")
    out = tmp_path / "average.safetensors"
    sources = [f"{run}@3", f"{run}@4", f"{run}@4"]
    assert main(["checkpoint", "average", *sources, f"--out={out}"]) == 0
    assert "of 3 sources; read back" in capsys.readouterr().err
    model = afgan_jax.load(out)
    expected = jax.tree.map(lambda a, b: (a + 2 * np.float64(b)) / 3, first, second)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6),
        model.variables,
        expected,
    )
    before, after = (afgan_jax.load(f"{run}@{step}") for step in (3, 4))
    images = [m.synthesize(m.ws([0], label=0)) for m in (before, model, after)]
    assert not np.allclose(images[0], images[1]) and not np.allclose(*images[1:])


def test_of_one_checkpoint_alone_the_average_is_that(tmp_path):
    run, first, _ = saved(tmp_path / "run")
    tree = average.of([f"{run}@3"] * 2).load("G_ema").tree["G_ema"]
    jax.tree.map(np.testing.assert_array_equal, tree, first)


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"seed": 1, **SMALL}, "is of another training than"),
        ({**SMALL, "conv_kernel": 1}, "has other settings than"),
        ({**SMALL, "data": "other.zip"}, "was trained on other data than"),
    ],
)
def test_what_has_nothing_in_common_is_not_averaged(settings, told, tmp_path, capsys):
    settings = dict(settings)
    one = tiny.save_run(tmp_path / "a", "nowhere.zip", **SMALL)
    data = settings.pop("data", "nowhere.zip")
    other = tiny.save_run(tmp_path / "b", data, **settings)
    words = [str(one), str(other), f"--out={tmp_path / 'x.safetensors'}"]
    assert main(["checkpoint", "average", *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    assert main(["checkpoint", "average", str(one), words[-1]]) == 2
    assert "give two sources or more" in capsys.readouterr().err
