"""The ladder: rows trained alike and measured, resumed, drawn; bad input."""

import json

import pytest
import tiny
from training import least

from afgan_jax import model as models
from afgan_jax.__main__ import main
from afgan_jax.analysis import ladder
from afgan_jax.assembly import settings as assembled
from afgan_jax.assembly import training
from afgan_jax.networks import generator
from afgan_jax.runs import config, run_directory


def arguments(workdir, *flags) -> list[str]:
    return ["ladder", f"--config={least.ABLATION}", f"--workdir={workdir}", *flags]


@pytest.mark.slow
def test_rows_are_trained_measured_drawn_and_resumed(
    images, tmp_path, capsys, monkeypatch
):
    flags = ["--rows=f,a", "--kimg=0.016", "--samples=2", "--batch=2"]
    line = arguments(tmp_path, *flags, *least.overrides(images))

    begin = training.train

    def stopped(config, workdir, changes):
        begin(config, workdir, changes=changes | {"train.total_kimg": 0.008})

    with monkeypatch.context() as patch:
        patch.setattr(training, "train", stopped)
        assert main(line) == 0
    assert "run the same command to resume" in capsys.readouterr().out
    first = json.loads((tmp_path / "ladder.json").read_text())["dB"]
    assert set(first["f"]) == {"untrained"} and not (tmp_path / "a").exists()

    assert main(line) == 0
    record = json.loads((tmp_path / "ladder.json").read_text())["dB"]
    assert record["f"]["untrained"] == first["f"]["untrained"]
    assert record["a"] == {"untrained": {}, "trained": {}}
    assert set(record["f"]["trained"]) == {*ladder.KINDS, "contrast"}
    assert record["f"]["trained"] != record["f"]["untrained"]
    rows = capsys.readouterr().out.splitlines()[2:4]
    assert [row.split()[0] for row in rows] == ["a", "f"]
    assert f"{record['f']['trained']['eqr']:.2f}" in rows[1] and "30.60" in rows[1]
    assert (tmp_path / "ladder.png").stat().st_size > 10_000

    with monkeypatch.context() as patch:
        patch.delattr(training, "train")  # nothing is left to train
        assert main(line) == 0
    assert main([*line, "--samples=4"]) == 2
    assert "--samples=4 differs from 2 of the ladder" in capsys.readouterr().err

    assert main([*line, "--kimg=0.024"]) == 0  # later flags win: trained on
    assert run_directory.Run.open(tmp_path / "a").latest_step() == 3
    longer = json.loads((tmp_path / "ladder.json").read_text())["dB"]
    assert longer["f"]["untrained"] == record["f"]["untrained"]
    assert longer["f"]["trained"] != record["f"]["trained"]
    assert main(line) == 2  # not back again
    assert "--kimg=0.016 differs from 0.024 of the ladder" in capsys.readouterr().err


@pytest.mark.slow
def test_rows_are_measured_untrained_alone(tmp_path, capsys):
    changes = [f"--config.{name}={value}" for name, value in least.SETTINGS.items()]
    flags = ["--rows=f,a", "--kimg=0", "--samples=2", "--batch=2", *changes]
    assert main(arguments(tmp_path, *flags)) == 0
    record = json.loads((tmp_path / "ladder.json").read_text())["dB"]
    assert {row: set(stages) for row, stages in record.items()} == {
        "f": {"untrained"},
        "a": {"untrained"},
    }
    assert (tmp_path / "ladder.png").exists() and not (tmp_path / "f").exists()
    assert "30.60" in capsys.readouterr().out


@pytest.mark.slow
def test_rows_are_compared_at_equal_contrast():
    settings = config.load(f"{least.ABLATION}:f", {}, assembled.SCHEMA)["generator"]
    sizes = {"resolution": 16, "z_dim": 8, "channel_base": 64, "channel_max": 8}
    dull = tiny.changed(settings, **sizes)
    bright = generator.changed(dull, output_scale=8.0)
    dull, bright = models.untrained(dull), models.untrained(bright)
    one, other = ladder.measure(dull, 4, 2), ladder.measure(bright, 4, 2)
    scale = 8.0 / settings["synthesis"]["output_scale"]
    assert other["contrast"] == pytest.approx(scale * one["contrast"], rel=1e-4)
    for kind in ladder.KINDS:
        assert other[kind] == pytest.approx(one[kind], abs=1e-2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows=f,x"], "--rows=x is unknown: use some of a,b,c"),
        (["--rows=f,f"], "--rows=f is given twice"),
        (["--kimg=-1"], "--kimg=-1 must be 0 or more"),
        (["--config.train.total_kimg=1"], "--config.train.total_kimg is --kimg here"),
        (["--config.generator.x=1"], "generator.x"),
        (["--config=nowhere.py"], "there is no config file nowhere.py"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flags, message, tmp_path, capsys):
    assert main(arguments(tmp_path / "ladder", *flags)) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "ladder").exists()
