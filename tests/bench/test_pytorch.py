"""Timing the published program: how it is asked for, found, and given the same work."""

import pathlib

import pytest
from reference import official

from afgan_jax.__main__ import main
from afgan_jax.assembly import settings as assembled
from afgan_jax.bench import pytorch
from afgan_jax.interop import published
from afgan_jax.runs import config

SMOKE = str(pathlib.Path(__file__).parents[2] / "configs" / "smoke.py")
FFHQU = str(pathlib.Path(__file__).parents[2] / "configs" / "ffhqu256.py")


def refused(*flags):
    return main(["bench", "synthesis", f"--config={SMOKE}", *flags]) == 2


def test_checkout_that_is_none_is_one_line(tmp_path, capsys):
    assert refused("--against=pytorch", f"--checkout={tmp_path}")
    out, err = capsys.readouterr()
    assert "holds no training/networks_stylegan3.py" in err and err.count("\n") == 1
    assert not out
    assert refused("--against=pytorch")
    assert "need each other" in capsys.readouterr().err


def test_missing_torch_is_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "networks_stylegan3.py").touch()
    monkeypatch.setattr(published.importlib.util, "find_spec", lambda name: None)
    assert refused("--against=pytorch", f"--checkout={tmp_path}")
    assert "pip install torch" in capsys.readouterr().err


class Recorder:
    """Stands for a network class: remembers what it was made with."""

    def __init__(self, **kwargs):
        self.kwargs = kwargs

    def to(self, device):
        return self

    def train(self):
        return self


@pytest.mark.parametrize(
    ("arg", "recorded"), [("t", "T_256"), ("r", "R_256"), ("a", "SG2_256")]
)
def test_networks_are_made_with_the_recorded_arguments(arg, recorded, monkeypatch):
    """What ffhqu256 asks of them is what the recorded program was asked, by name."""
    module = type("Module", (), {"Generator": Recorder, "Discriminator": Recorder})
    monkeypatch.setattr(pytorch.importlib, "import_module", lambda name: module)
    settings = config.load(f"{FFHQU}:{arg}", schema=assembled.SCHEMA)
    G, D = pytorch.networks(settings["generator"], settings["discriminator"], "cpu")
    recordings = official.index("schedule", official.DATA)["cases"]
    cases = {c["id"]: c["kwargs"] for c in recordings}
    for name, value in cases[recorded].items():
        if name in ("channel_base",):  # the recorded networks of A are twice as wide
            continue
        assert G.kwargs[name] == value, name
    for name, value in cases["D_256_cbase16384"].items():
        if name in ("block_kwargs", "mapping_kwargs", "epilogue_kwargs"):
            continue
        assert D.kwargs[name] == value, name
