"""Models that come with the package."""

import re
import shutil

import pytest
import tiny

import afgan_jax
from afgan_jax import analysis, errors
from afgan_jax.__main__ import main
from afgan_jax.interop import model_file
from afgan_jax.sources import boxed

CARD = boxed.FOLDER / "README.md"


@pytest.fixture(scope="module", params=boxed.names())
def name(request):
    return request.param


def test_there_is_one():
    assert "earth64" in boxed.names()


def test_it_is_small_and_its_card_says_what_it_says_of_itself(name):
    file = boxed.FOLDER / f"{name}.safetensors"
    assert file.stat().st_size <= 3e6
    facts = model_file.read_header(file).facts
    card = CARD.read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]
    (kimg,) = re.findall(r"\| shown \| ([\d.]+) kimg", card)
    assert float(kimg) == facts["kimg"] and facts["licence"] in card.replace("\n", " ")
    assert facts["origin"].startswith(f"{name}@")
    shape = model_file.read_header(file).settings["generator"]["synthesis"]
    for flag in ("channel_base", "channel_max"):
        assert f"--config.generator.synthesis.{flag}={shape[flag]}" in card


@pytest.mark.slow
def test_it_is_loaded_by_name_and_follows_motions(name):
    model = afgan_jax.load(name)
    assert model.source == name
    found = analysis.equivariance(model, samples=2, batch=2).decibels
    assert min(found.values()) > 40


def test_what_lies_here_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.save_run(tmp_path / "earth64", "x.zip", resolution=16, num_layers=4)
    assert afgan_jax.load("earth64").resolution == 16
    assert afgan_jax.load("earth64@3").resolution == 16
    shutil.rmtree(tmp_path / "earth64")
    assert afgan_jax.load("earth64").resolution == 64


def test_verbs_take_it(tmp_path, capsys):
    assert main(["generate", "--run=earth64", f"--outdir={tmp_path}", "--seeds=0"]) == 0
    assert (tmp_path / "seed0000.png").exists()
    assert main(["inspect", "earth64"]) == 0
    assert "kimg:" in capsys.readouterr().out


def test_other_names_are_refused_as_ever():
    with pytest.raises((ValueError, errors.SettingError), match="earth65"):
        afgan_jax.load("earth65")
