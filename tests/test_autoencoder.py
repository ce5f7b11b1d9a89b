"""The example launch/autoencoder.py, on few images and steps."""

import importlib.util
import json
import math
import pathlib

import numpy as np
import pytest
from PIL import Image

from afgan_jax.data import archive

SCRIPT = pathlib.Path(__file__).parents[1] / "launch" / "autoencoder.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("autoencoder", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def waves(size: int, right: float = 0.0, angle: float = 0.0):
    """[1 size size 1] around the middle of a plane of waves that moves."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*2 * [np.arange(size) - (size - 1) / 2], indexing="ij")
    x = x - right
    x, y = (
        math.cos(angle) * x - math.sin(angle) * y,
        math.sin(angle) * x + math.cos(angle) * y,
    )
    headings, phases = rng.uniform(0, 2 * np.pi, (2, 6))
    cycles = rng.uniform(0.05, 0.3, 6)  # a pixel
    along = np.multiply.outer(x, np.cos(headings))
    along = along + np.multiply.outer(y, np.sin(headings))
    return np.sin(2 * np.pi * cycles * along + phases).sum(axis=-1)[None, :, :, None]


@pytest.mark.slow
def test_images_move_without_loss(example):
    """As waves do: to a thousandth of their power; more is the filter's ripple."""
    images = example.Images(waves(96).astype(np.float32))
    for motion in ((0.0, 0.0), (0.37, 0.0), (0.0, 0.6), (-2.5, -0.1)):
        expected = waves(48, *motion)
        found = images.seen(48, *motion)
        assert np.mean((found - expected) ** 2) < 1e-3 * np.var(expected)
        still = images.seen(48)
        assert not any(motion) or np.mean((found - still) ** 2) > 1e-2


@pytest.mark.slow
def test_example_compares_two_networks(example, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (20, 16, 16, 3), np.uint8)
    images = [
        np.asarray(Image.fromarray(a).resize((128, 128), Image.Resampling.BICUBIC))
        for a in coarse
    ]
    archive.write_archive(tmp_path / "set.zip", np.stack(images))
    monkeypatch.setattr(example, "HELD", 4)
    monkeypatch.setattr(example, "GAP", 2)
    moves = {name: (amounts[:2], m) for name, (amounts, m) in example.MOVES.items()}
    monkeypatch.setattr(example, "MOVES", moves)
    out = tmp_path / "out"
    flags = f"--outdir={out}", "--steps=3", f"--data={tmp_path / 'set.zip'}"
    example.main(flags)
    report = json.loads((out / "autoencoder.json").read_text())
    strided, alias_free = (report[name] for name in ("strided", "alias-free"))
    assert strided["parameters"] == alias_free["parameters"] == 21877
    for move in moves:
        for key in ("mean", "each", "following"):
            assert len(strided[move][key]) == len(alias_free[move][key]) == 2
            assert np.isfinite(strided[move][key]).all()
        assert strided[move]["following"][1] > 2 * alias_free[move]["following"][1]
    assert capsys.readouterr().out.count("%") == 4 * 6
    for name in ("loss.png", "following.png", "examples.png"):
        with Image.open(out / name) as image:
            assert image.width > 300
