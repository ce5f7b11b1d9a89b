"""`export --to=pytorch`, against state dicts recorded from the published program."""

import json

import numpy as np
import pytest
import safetensors.numpy
import tiny
from reference import official

from afgan_jax.__main__ import main
from afgan_jax.export import state_dict


@pytest.mark.parametrize("name", ["tiny_t", "tiny_r_cond", "tiny_sg2"])
def test_the_recorded_state_dict_comes_back(name, tmp_path):
    source = official.DATA / "pickles" / f"{name}.pkl"
    out = tmp_path / "g.safetensors"
    assert main(["export", str(source), "--to=pytorch", f"--out={out}"]) == 0
    found = safetensors.numpy.load_file(out)
    arrays = official.Arrays("pickles", f"{name}.npz", top=official.DATA)
    recorded = arrays.under("state/G_ema/")
    assert found.keys() == recorded.keys()
    for key, array in recorded.items():
        assert found[key].dtype == array.dtype and found[key].shape == array.shape, key
        is_computed = key.endswith("filter")
        tolerance = 1e-7 if is_computed else 0
        np.testing.assert_allclose(found[key], array, rtol=0, atol=tolerance)
    with safetensors.safe_open(out, framework="numpy") as file:
        described = json.loads(file.metadata()[state_dict.METADATA])
    assert described["class"].endswith(
        "stylegan2.Generator" if name == "tiny_sg2" else "stylegan3.Generator"
    )


REFUSED = {
    "p4": (
        {"resolution": 32, "symmetry": "p4"},
        "generator.synthesis.symmetry=p4 is not in the",
    ),
    "G": ({"resolution": 32, "lowpass": "bilinear"}, "generator.synthesis.lowpass="),
    "48": ({"resolution": 48}, "generator.synthesis.resolution=48 is no power of two"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_networks_that_are_not_there_are_refused(name, tmp_path, capsys):
    settings, message = REFUSED[name]
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", num_layers=6, **settings)
    out = tmp_path / "g.safetensors"
    assert main(["export", str(run), "--to=pytorch", f"--out={out}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
