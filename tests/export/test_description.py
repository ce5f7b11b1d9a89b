"""`inspect` of exports: what each says of itself, and of its file."""

import hashlib
import json

import pytest
import tiny

from afgan_jax.__main__ import main
from afgan_jax.export import description, web_page

SMALL = {"resolution": 16, "num_layers": 4, "num_critical": 1}


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    run = tiny.save_run(folder / "run", "nowhere.zip", **SMALL)
    out = folder / "g.safetensors"
    assert main(["export", str(run), "--to=jax", f"--out={folder / 'g.jax'}"]) == 0
    assert main(["export", str(run), "--to=pytorch", f"--out={out}"]) == 0
    return folder


def test_a_file_of_jax_states_no_layouts(exports):
    """JAX 0.7 refuses to write, and other versions need not read, such a program."""
    assert b"LayoutConstraint" not in (exports / "g.jax").read_bytes()


@pytest.mark.slow
def test_inspect_shows_a_file_of_jax(exports, capsys, tmp_path):
    file, out = exports / "g.jax", tmp_path / "report.json"
    assert main(["inspect", str(file), f"--out={out}"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{file}\n  inputs: {{'z': ['batch', 8]")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"sha256 of the file: {digest}\n" in shown
    assert "\nL0_36_8  16" in shown and "  step: 3\n" in shown
    assert json.loads(out.read_text())["bytes"] == file.stat().st_size


def test_inspect_shows_a_state_dict(exports, capsys):
    assert main(["inspect", str(exports / "g.safetensors")]) == 0
    shown = capsys.readouterr().out
    assert "  class: training.networks_stylegan3.Generator\n" in shown
    assert "'img_resolution': 16" in shown


def test_a_page_says_what_its_model_is(tmp_path):
    (tmp_path / web_page.MODEL).write_text(
        'globalThis.MODEL = {"about": {"step": 3, "inputs": {}}, "onnx": "QQ=="};\n'
    )
    found = description.of(tmp_path)
    assert found["step"] == 3 and found["bytes"] == 73


@pytest.mark.parametrize("name", ["g.jax", "model.js"])
def test_an_export_without_its_description_is_refused(tmp_path, name, capsys):
    (tmp_path / name).write_bytes(b"\x00")
    source = tmp_path / name if name == "g.jax" else tmp_path
    assert main(["inspect", str(source)]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / name} does not say what it is" in error
    assert error.count("\n") == 1


def test_a_damaged_model_file_is_told_as_one(tmp_path, capsys):
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"\xff" * 64)
    assert description.of(file) is None
    assert main(["inspect", str(file)]) == 2
    error = capsys.readouterr().err
    assert "does not say what it is" not in error and error.count("\n") == 1


def test_other_sources_are_no_exports(exports, tmp_path):
    assert description.of(exports / "run") is None
    assert description.of(tmp_path / "nowhere") is None
    assert description.of("hf://OWNER/NAME") is None
