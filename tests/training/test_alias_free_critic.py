"""Training against an alias-free discriminator, and `analyze discriminator`."""

import json
import re

import numpy as np
import pytest
from training import smoke
from training.smoke import SMOKE, checkpoint, settings

from afgan_jax import __main__
from afgan_jax.runs import run_directory
from afgan_jax.sources import find

KAISER = "--config.discriminator.lowpass=kaiser"


@pytest.mark.slow
def test_two_ticks_against_filters_are_trained_resumed_and_measured(
    images, tmp_path, capsys
):
    filters = {"discriminator.lowpass": "kaiser"}
    folder = tmp_path / "run"
    for kimg in (0.032, 0.064):
        smoke.train(folder, settings(images, kimg, **filters))
    *_, last = (folder / "stats.jsonl").read_text().splitlines()
    stats = json.loads(last)
    assert stats["nimg"] == 64
    for name in ("Loss/G/loss", "Loss/D/loss", "Loss/r1_penalty"):
        assert np.isfinite(stats[name]["mean"]) and stats[name]["mean"] != 0
    weights = checkpoint(folder)
    name = "['D']['params']['b16']['conv1']['weight']"
    found = find.find(folder, ("D",))
    read, latest = found.load("D"), run_directory.Run.open(folder).latest_step()
    assert found.network("D").lowpass == "kaiser"
    assert read.name == f"{folder}@{latest}"
    weight = read.tree["D"]["params"]["b16"]["conv1"]["weight"]
    np.testing.assert_array_equal(weight, weights[name])

    capsys.readouterr()
    flags = "--count=64", "--batch=8", f"--out={tmp_path / 'new' / 'critic.json'}"
    assert __main__.main(["analyze", "discriminator", f"--run={folder}", *flags]) == 0
    report = json.loads((tmp_path / "new" / "critic.json").read_text())
    assert report["lowpass"] == "kaiser" and report["images"] == 40
    (row,) = report["networks"].values()
    assert set(row) == {"moving", "kink", "among"} and row["moving"] > row["kink"] > 0
    moving = 100 * row["moving"] / row["among"]
    said = capsys.readouterr().out
    assert f"step {latest}: moving {moving:.3f} %, kink" in said
    assert "the set has 40 images: measured are 40" in said


@pytest.mark.slow
def test_untrained_critics_are_compared_and_memory_is_told(images, capsys):
    data = f"--config={SMOKE}", f"--config.data.path={images}"
    kinks = {}
    for name, more in (("bilinear", ()), ("kaiser", (KAISER,))):
        flags = "--count=16", "--batch=8", "--seeds=0-1"
        assert __main__.main(["analyze", "discriminator", *data, *flags, *more]) == 0
        lines = re.findall(r"seed \d: moving .* kink (.*) %", capsys.readouterr().out)
        kinks[name] = [float(kink) for kink in lines]
        assert len(lines) == 2
    # White noise has all frequencies: filters take the highest from an untrained D.
    assert max(kinks["kaiser"]) < min(kinks["bilinear"])
    dry = ["train", *data, KAISER, "--workdir=x", "--dry-run"]
    assert __main__.main(dry) == 0
    assert "Dreg" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "pass either --run=SOURCE or --config=NAME"),
        (["--run=a", "--config=b.py"], "pass either --run=SOURCE or --config=NAME"),
        (["--run=a", KAISER], "--config.discriminator.lowpass is for --config"),
        (["--run=a", "--count=20"], "--count=20 must be a multiple of --batch=16"),
        (["--run=a", "--out=."], "--out=. is a folder; name a file"),
        (
            [f"--config={SMOKE}", "--config.discriminator.lowpass=box"],
            "--config.discriminator.lowpass=box is unknown: use one of bilinear",
        ),
    ],
)
def test_bad_input_to_critic_is_one_line(words, message, capsys):
    assert __main__.main(["analyze", "discriminator", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
