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


# Stand-ins for PyTorch and the published program, of which there is no copy here: they
# show that what the file says of itself makes a module, fills it, and is drawn with.
TORCH = """
import contextlib, numpy as np
class Tensor(np.ndarray):
    def numpy(self): return np.asarray(self)
def from_numpy(array): return array.view(Tensor)
no_grad = contextlib.nullcontext
"""
NETWORKS = """
import os, torch
import afgan_jax
class Generator:
    def __init__(self, z_dim, c_dim, img_resolution, **rest):
        self.z_dim, self.c_dim, self.rest = z_dim, c_dim, rest
        assert img_resolution == 16 and rest["w_dim"] == 8
    def load_state_dict(self, tensors, strict):
        assert strict and "synthesis.input.transform" in tensors
    def eval(self): return self
    def __call__(self, z, c):
        model = afgan_jax.load(os.environ["SOURCE"])
        drawn = model.synthesize(model.ws(z=z, label=c)) + float(os.environ["ADDED"])
        return torch.from_numpy(drawn.transpose(0, 3, 1, 2))
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name, text in {
        "torch/__init__.py": TORCH,
        "checkout/training/networks_stylegan3.py": NETWORKS,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    path = [str(tmp_path), str(official.DATA.parents[2])]
    monkeypatch.setenv("PYTHONPATH", ":".join(path))
    monkeypatch.setenv("ADDED", "0")
    return tmp_path / "checkout"


@pytest.mark.slow
def test_with_a_checkout_images_are_compared(checkout, tmp_path, monkeypatch, capsys):
    sizes = {"resolution": 16, "num_layers": 4, "num_critical": 1}
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", **sizes)
    monkeypatch.setenv("SOURCE", str(run))
    out = tmp_path / "g.safetensors"
    flags = "--to=pytorch", f"--checkout={checkout}", f"--out={out}"
    assert main(["export", str(run), *flags]) == 0
    said = capsys.readouterr().err
    assert "drawn again by the published program, batches of 1 and 3: largest" in said
    out.unlink()
    monkeypatch.setenv("ADDED", "2e-5")
    assert main(["export", str(run), *flags]) == 2
    assert "draws other images: relative L2" in capsys.readouterr().err
    assert main(["export", str(run), *flags[::2], f"--checkout={tmp_path}"]) == 2
    assert "holds no training/networks_stylegan3.py" in capsys.readouterr().err
    assert not out.exists()
