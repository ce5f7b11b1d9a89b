"""`export --to=onnx` and `--to=web`, in onnxruntime and in a real browser."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny

import afgan_jax
from afgan_jax import errors
from afgan_jax.__main__ import main
from afgan_jax.export import (
    browser_runtime,
    description,
    onnx_file,
    reader,
    state_dict,
)
from afgan_jax.signal import affine

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-onnx"  # .ci/exports makes it
SMALL = {"resolution": 16, "num_layers": 4, "num_critical": 1}
KINDS = {
    "T": SMALL,
    "R": SMALL | {"conv_kernel": 1, "radial": True},
    "p4": SMALL | {"symmetry": "p4"},
    "A": {"kind": "stylegan2", "resolution": 16},
    "no labels": SMALL | {"c_dim": 0},
}
DRAW = """
import sys, numpy as np, reader
draw, about = reader.load(sys.argv[1])
given = np.load(sys.argv[2])
np.save(sys.argv[3], draw(*(given[name] for name in about["inputs"])))
assert not {m.split(".")[0] for m in sys.modules} & {"afgan_jax", "jax", "flax"}
"""
DESCRIBE = """
import json, pathlib, reader, sys
print(json.dumps(reader.describe_onnx(pathlib.Path(sys.argv[1]))))
"""
MOTION = {"rotate": 0.3, "translate": (0.1, -0.2)}


def exported(kind, folder, *flags):
    run = tiny.save_run(folder / "run", "nowhere.zip", **KINDS[kind])
    words = f"--environment={ENVIRONMENT}", *flags
    assert main(["export", str(run), *words]) == 0
    return afgan_jax.load(run)


def expected(model, seeds, psi):
    """Images of class 1, moved as far as the model can be."""
    label = 1 if model.c_dim else None
    motion = MOTION if model.can_move else {}
    return model.synthesize(model.ws(seeds, label=label, psi=psi), **motion)


def assert_close(found, images):
    np.testing.assert_allclose(found, images, atol=1e-4 * np.ptp(images))


@pytest.mark.onnx
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_file_draws_the_images_of_its_run(kind, tmp_path, capsys):
    file = tmp_path / "a.onnx"
    fixed = ["--batch=2", "--filters=banded"] if kind == "R" else []
    model = exported(kind, tmp_path, "--to=onnx", f"--out={file}", *fixed)
    batches = "a batch of 2" if fixed else "batches of 1 and 3"
    assert f"onnxruntime, {batches}: largest difference" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"run", "a.onnx"}

    inputs = {"z": model.z([5, 6]), "psi": np.float32(0.7)}
    inputs["label"] = np.float32([[0, 1], [0, 1]])
    transform = affine.user_transform(0.3, 0.1, -0.2)
    inputs["transform"] = np.tile(np.float32(transform), (2, 1, 1))
    np.savez(tmp_path / "inputs.npz", **inputs)
    subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-c", DRAW]
        + [file, tmp_path / "inputs.npz", tmp_path / "images.npy"],
        cwd=Path(reader.__file__).parent,
        check=True,
    )
    assert_close(np.load(tmp_path / "images.npy"), expected(model, [5, 6], 0.7))
    shown = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-c", DESCRIBE, file],
        cwd=Path(reader.__file__).parent,
        check=True,
        capture_output=True,
    )
    assert json.loads(shown.stdout)["step"] == 3


@pytest.mark.onnx
@pytest.mark.parametrize("kind", ["T", "A"])
def test_a_page_draws_and_moves_images_in_a_browser(kind, tmp_path):
    folder = tmp_path / "page"
    model = exported(kind, tmp_path, "--to=web", f"--out={folder}")
    moved = {"rotate": 0.3, "right": 0.1, "down": -0.2}
    cases = [{"seed": s, "psi": 0.7, "label": [0, 1], **moved} for s in (5, 4294967295)]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    words = [(folder / "index.html").as_uri(), tmp_path / "cases.json"]
    done = subprocess.run(
        ["node", ROOT / "tests/export/page.mjs", *words, tmp_path / "shot.png"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert description.of(folder)["step"] == 3
    assert found["errors"] == [] and (tmp_path / "shot.png").is_file()
    drawn = [np.reshape(x["data"], (16, 16, 3)) for x in found["drawn"]]
    assert_close(drawn, expected(model, [case["seed"] for case in cases], 0.7))
    shown = found["shown"]
    assert shown["next"] and shown["psi"] and shown["wander"]
    assert shown["drag"] == model.can_move != shown["hidden"]
    assert (shown["right"] > 0.1) == model.can_move
    assert shown["title"] == "run@3" and shown["status"].endswith("ms an image")


def test_without_its_environment_a_line_says_how_to_make_one(tmp_path, capsys):
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", **SMALL)
    place = f"--environment={tmp_path / 'nowhere'}"
    for to, out in (("onnx", "a.onnx"), ("web", "page")):
        out = f"--out={tmp_path / out}"
        assert main(["export", str(run), f"--to={to}", out, place]) == 2
        error = capsys.readouterr().err
        assert f"{place} has no jax2onnx: make it with python3 -m venv" in error
        assert "onnx.txt" in error and error.count("\n") == 1
    assert main(["export", str(run), "--to=onnx", "--out=a.pb"]) == 2
    assert "--out=a.pb must end in .onnx" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_another_runtime_than_the_published_one_is_refused(tmp_path, monkeypatch):
    with pytest.raises(errors.SettingError, match="has no ort.wasm.min.js of onnx"):
        browser_runtime.files(tmp_path)
    for name in browser_runtime.SHA256:
        (tmp_path / name).write_bytes(b"alert(1)")
    with pytest.raises(errors.SettingError, match="another ort.wasm.min.js than"):
        browser_runtime.files(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="comes by npm: install Node.js, or get"):
        browser_runtime.files()
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ECONNREFUSED' >&2; exit 1")
    npm.chmod(0o755)
    with pytest.raises(
        ValueError, match=r"by npm \(npm error code ECONNREFUSED\): try"
    ):
        browser_runtime.files()
    assert not (tmp_path / "cache").exists()


def program(file, text):
    """A shell script in place of a program."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_a_damaged_cache_of_the_runtime_is_fetched_again(tmp_path, monkeypatch):
    package = tmp_path / "package" / "dist"
    package.mkdir(parents=True)
    sums = {}
    for name in browser_runtime.SHA256:
        (package / name).write_bytes(name.encode())
        sums[name] = hashlib.sha256(name.encode()).hexdigest()
    monkeypatch.setattr(browser_runtime, "SHA256", sums)
    fetch = f"tar czf p.tgz -C {tmp_path} package && echo x >> {tmp_path / 'fetched'}"
    program(tmp_path / "bin" / "npm", fetch)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    whole = {name: name.encode() for name in sums}
    kept = tmp_path / "cache" / browser_runtime.PACKAGE / browser_runtime.BINARY
    for _ in range(2):  # the second time it is there
        assert browser_runtime.files() == whole
        assert (tmp_path / "fetched").read_text() == "x\n"
    kept.write_bytes(b"damaged")
    assert browser_runtime.files() == whole
    assert (tmp_path / "fetched").read_text() == "x\n" * 2
    assert kept.read_bytes() == whole[browser_runtime.BINARY]


def test_folders_of_exports_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    python = program(tmp_path / "env" / "bin" / "python", "exit 0")
    assert onnx_file.interpreter(Path("~/env")) == str(python)
    with pytest.raises(errors.SettingError, match=f"{tmp_path}/runtime. has no ort"):
        browser_runtime.files("~/runtime")
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", **SMALL)
    with pytest.raises(ValueError, match=f"{tmp_path}/theirs"):
        state_dict.write(run, tmp_path / "g.safetensors", checkout="~/theirs")


def test_the_converter_finds_this_program_and_nothing_beside_it(tmp_path):
    seen = tmp_path / "seen"
    python = program(tmp_path / "python", f'ls -A "$PYTHONPATH" > {seen}; exit 1')
    with pytest.raises(ValueError, match="cannot convert this model: no reason"):
        onnx_file._convert(str(python), tmp_path / "m", tmp_path / "o", None, "banded")
    assert seen.read_text() == "afgan_jax\n"
