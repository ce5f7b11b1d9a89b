"""A run whose convolutions are p4-symmetric: trained, resumed, generated from."""

import json

import numpy as np
import pytest
from PIL import Image
from training import smoke
from training.smoke import SMOKE, checkpoint, settings

from afgan_jax.__main__ import main

P4 = {"generator.synthesis.symmetry": "p4"}


@pytest.mark.slow
def test_p4_trains_and_resumes_and_its_images_turn(images, tmp_path, capsys):
    run = tmp_path / "parts"
    dry = [f"--config.{name}={value}" for name, value in settings(images, 1).items()]
    dry += ["--config.generator.synthesis.symmetry=p4", "--dry-run"]
    assert main(["train", f"--config={SMOKE}", f"--workdir={run}", *dry]) == 0
    assert "  p4\n" in capsys.readouterr().out and not run.exists()

    smoke.train(tmp_path / "whole", settings(images, 0.064, **P4))
    for kimg in (0.032, 0.064):
        smoke.train(run, settings(images, kimg, **P4))
    whole, parts = checkpoint(tmp_path / "whole"), checkpoint(run)
    assert whole.keys() == parts.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)
    magnitudes = [whole[name] for name in whole if "magnitude_ema" in name]
    assert len(magnitudes) == 8 and all(m != 1 for m in magnitudes)  # G, and average
    lines = (run / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["nimg"] for line in lines][-1] == 64

    for folder, flag in (("upright", "--rotate=0"), ("turned", "--rotate=90")):
        flags = [f"--run={run}", f"--outdir={tmp_path / folder}", "--seeds=3-4"]
        assert main(["generate", *flags, flag]) == 0
    for name in ("seed0003.png", "seed0004.png"):
        with Image.open(tmp_path / "upright" / name) as file:
            upright = np.asarray(file, int)
        with Image.open(tmp_path / "turned" / name) as file:
            turned = np.asarray(file, int)
        # Rounding may cross one of 256 steps.
        assert np.abs(turned - np.rot90(upright)).max() <= 1
        assert np.abs(turned - upright).max() > 20
    flags = [f"--run={run}", f"--outdir={tmp_path}", "--samples=4", "--frames=2"]
    assert main(["analyze", "equivariance", *flags]) == 0
    measured = json.loads((tmp_path / "equivariance.json").read_text())
    assert set(measured["filters on"]) == {"eqt_int", "eqt_frac", "eqr"}
