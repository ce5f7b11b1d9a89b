"""Snapshots with the settings and sizes of the published ones, made here of zeros."""

import jax
import numpy as np
import pytest
from interop import forge
from test_configs import PUBLISHED

import afgan_jax
from afgan_jax.__main__ import main
from afgan_jax.assembly import settings as assembled
from afgan_jax.export import state_dict
from afgan_jax.interop import names
from afgan_jax.networks import generator

SIZES = ("ffhqu256.py:t", "ffhqu256.py:a", "ffhq1024.py:r")


def snapshot(spec: str, path) -> dict:
    """Writes the generator of a config, all zeros, as a snapshot; its settings."""
    settings = assembled.load(spec)["generator"]
    settings = generator.changed(settings, dtype="float32")
    G = generator.make_generator(**settings)
    shapes = jax.eval_shape(G.initialize, jax.random.key(0))
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    tensors = names.tensors(zeros) | state_dict.constants(G.synthesis)
    net = forge.network(tensors, state_dict.arguments(settings))
    path.write_bytes(forge.pickled({"G_ema": net}))
    return settings


@pytest.mark.slow
@pytest.mark.parametrize("spec", SIZES)
def test_a_snapshot_of_this_size_becomes_a_model_file(spec, tmp_path, capsys):
    settings = snapshot(spec.replace(".py", ""), tmp_path / "a.pkl")
    out = tmp_path / "a.safetensors"
    assert main(["import", str(tmp_path / "a.pkl"), f"--out={out}"]) == 0
    assert f"parameters: G_ema {PUBLISHED[spec][0]:,};" in capsys.readouterr().err
    model = afgan_jax.load(out)
    assert model.settings == settings
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(model.variables))


def test_snapshots_of_tensorflow_say_who_converts_them(tmp_path, capsys):
    network = forge.Call(forge.Global("dnnlib.tflib.network", "Network"), ())
    (tmp_path / "a.pkl").write_bytes(forge.pickled((network, network, network)))
    flags = f"--out={tmp_path / 'a.safetensors'}"
    assert main(["import", str(tmp_path / "a.pkl"), flags]) == 2
    error = capsys.readouterr().err
    assert "one of the TensorFlow program: the PyTorch program converts" in error
    assert error.count("\n") == 1


def test_what_is_no_file_is_refused(tmp_path, capsys):
    flags = str(tmp_path), f"--out={tmp_path / 'a.safetensors'}"
    assert main(["import", *flags]) == 2
    assert "there is no such file" in capsys.readouterr().err
