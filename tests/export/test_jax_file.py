"""`export --to=jax`: files that jax alone runs, for one network of each kind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from export import of_another_jax

import afgan_jax
from afgan_jax.__main__ import main
from afgan_jax.export import reader
from afgan_jax.signal import affine

KINDS = {
    "T": {"resolution": 16, "num_layers": 4, "num_critical": 1},
    "R": {"resolution": 32, "num_layers": 6, "conv_kernel": 1, "radial": True},
    "p4": {"resolution": 32, "num_layers": 6, "symmetry": "p4"},
    "A": {"kind": "stylegan2", "resolution": 16},
    "no labels": {"resolution": 16, "num_layers": 4, "num_critical": 1, "c_dim": 0},
}
SLOW = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("A", "R", "p4", "no labels")
]


def exported(run, out, *flags):
    assert main(["export", str(run), "--to=jax", f"--out={out}", *flags]) == 0
    return out


@pytest.mark.parametrize("kind", ["T", *SLOW])
def test_a_file_draws_the_images_of_its_run(kind, tmp_path, capsys):
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", **KINDS[kind])
    file = exported(run, tmp_path / "a.jax", "--weights=beside", "--filters=banded")
    assert "by jax alone, batches of 1 and 3: largest" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {
        *("run", "a.jax", "a.jax.json", "a.jax.safetensors")
    }
    with pytest.raises(ValueError, match="a.jax is an export, which runs elsewhere"):
        afgan_jax.load(file)
    model = afgan_jax.load(run)
    function, about = reader.load(file)
    assert about["step"] == 3 and about["jax"] == jax.__version__
    drawn = reader.inputs(about, [5, 6], psi=0.7)
    label, motion = (1 if model.c_dim else None), {}
    inputs = dict(zip(about["inputs"], drawn, strict=True))
    if label:
        inputs["label"] = np.float32([[0, 1], [0, 1]])
    if model.can_move:
        motion = {"rotate": 0.3, "translate": (0.1, -0.2)}
        inputs["transform"][:] = affine.user_transform(0.3, 0.1, -0.2)
    found = jax.jit(function)(*inputs.values())
    expected = model.synthesize(model.ws([5, 6], label=label, psi=0.7), **motion)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.ptp(expected) > 0.3


@pytest.mark.another_jax
@pytest.mark.parametrize("kind", list(of_another_jax.KINDS))
def test_a_file_of_an_older_jax_draws_the_same_images(kind):
    """.ci/python313 runs it on files of .ci/run."""
    folder = Path(os.environ["AFGAN_EXPORTED"]) / kind
    function, about = reader.load(folder / "model.jax")
    assert about["jax"] != jax.__version__
    found = function(*reader.inputs(about, of_another_jax.SEEDS))
    expected = np.load(folder / "images.npy")
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(expected))


def test_the_reader_needs_jax_alone(tmp_path):
    """It imports nothing of this program, nor Flax."""
    code = (
        "import sys, reader; tops = {m.split('.')[0] for m in sys.modules};"
        " assert not tops & {'afgan_jax', 'flax', 'optax', 'orbax', 'safetensors'}"
    )
    folder = str(reader.__file__).rpartition("/")[0]
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


@pytest.mark.slow
def test_the_derivative_is_in_the_file(tmp_path):
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", **KINDS["R"])
    file = exported(run, tmp_path / "a.jax", "--derivative", "--filters=banded")
    function, about = reader.load(file)
    inputs = reader.inputs(about, [1, 2])
    model = afgan_jax.load(run)

    def energy(draw):
        return lambda z: (draw(z) ** 2).sum()

    c = jnp.float32(np.eye(2)[[0, 0]])
    there = jax.grad(energy(lambda z: function(z, *inputs[1:])))(inputs[0])
    here = jax.grad(energy(lambda z: model.apply(model.variables, z, c)))(inputs[0])
    np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-4 * np.abs(here).max())


@pytest.mark.slow
def test_a_derivative_for_any_batch_is_refused_where_it_cannot_be(tmp_path, capsys):
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", **KINDS["T"])
    flags = "--to=jax", f"--out={tmp_path / 'a.jax'}", "--derivative"
    assert main(["export", str(run), *flags]) == 2
    error = capsys.readouterr().err
    assert "--derivative=True is not possible for any batch" in error
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    exported(run, tmp_path / "a.jax", "--derivative", "--batch=2")
    about = json.loads((tmp_path / "a.jax.json").read_text())
    assert about["inputs"]["z"] == [2, 8]


def test_flags_of_another_form_are_refused(tmp_path, capsys):
    flags = "--to=model", f"--out={tmp_path / 'a.safetensors'}", "--batch=2"
    assert main(["export", "nowhere", *flags]) == 2
    assert (
        "--batch is for --to=jax and --to=onnx: leave it out" in capsys.readouterr().err
    )
