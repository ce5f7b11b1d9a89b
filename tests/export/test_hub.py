"""`export --to=hub`: a folder for Hugging Face, uploaded and loaded again."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny
from export import hub_server
from PIL import Image

import afgan_jax
from afgan_jax.__main__ import main
from afgan_jax.runs import run_directory
from afgan_jax.viz import grid

T = {"resolution": 16, "num_layers": 4, "num_critical": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tiny.save_run(tmp_path_factory.mktemp("runs") / "tiny", "data/no.zip", **T)
    with run_directory.Run.open(path) as opened:
        opened.append_metric("fid2k", {"fid2k": 99.0}, step=2, seconds=1)
        opened.append_metric("fid2k", {"fid2k": 12.5}, step=3, seconds=1)
    return path


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("hub") / "model"
    flags = "--to=hub", f"--out={out}", "--licence=cc0-1.0"
    assert main(["export", str(run), *flags]) == 0
    return out


def test_the_folder_is_what_the_hub_expects(run, folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "samples.png"}
    from huggingface_hub import ModelCard

    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "cc0-1.0" and card.data.library_name == "afgan_jax"
    assert "jax" in card.data.tags
    text = card.text
    for part in (
        "| fid2k | 12.5 | `python -m afgan_jax metrics --metrics=fid2k` |",
        'afgan_jax.load("hf://model")',
        "label=0)",
        "- data: no.zip",
        '"data.mirror": true',
        "tiny@3",
    ):
        assert part in text
    assert "99" not in text.partition("## All settings")[0] and str(run) not in text
    model = afgan_jax.load(folder)
    assert json.loads((folder / "config.json").read_text())["synthesis"]["margin"] == 10
    with Image.open(folder / "samples.png") as image:
        shown = np.asarray(image)
    expected = grid.sheet(model.images(range(32), label=0), 8)
    np.testing.assert_array_equal(shown, expected)


def test_a_folder_that_holds_something_is_left_alone(run, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    flags = "--to=hub", f"--out={tmp_path / 'out'}"
    assert main(["export", str(run), *flags]) == 2
    assert "exists: name a new folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def in_process(home, url: str, *arguments, token: str = hub_server.Server.token):
    """The command in a process of its own, as the library reads the environment."""
    env = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": url, "HF_TOKEN": token}
    env |= {"HF_HUB_DISABLE_XET": "1", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "afgan_jax", *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_a_model_is_pushed_and_loaded_by_its_name(run, folder, tmp_path):
    flags = "--to=hub", "--push=somebody/model"
    with hub_server.running() as server:
        export = ["export", run, *flags]
        done = in_process(
            tmp_path / "a", server.url, *export, f"--out={tmp_path / '1'}", token="no"
        )
        assert done.returncode == 2 and "somebody/model is not pushed:" in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        done = in_process(
            tmp_path / "a", server.url, *export, f"--out={tmp_path / '2'}"
        )
        assert done.returncode == 0, done.stderr
        assert "pushed to http" in done.stderr
        pushed = {path.name: path.read_bytes() for path in (tmp_path / "2").iterdir()}
        assert server.files == pushed
        draw = ["generate", "--seeds=3", "--class=1", f"--outdir={tmp_path / 'out'}"]
        known = "--run=hf://somebody/model"
        done = in_process(tmp_path / "b", server.url, *draw, known)
        assert done.returncode == 0, done.stderr
        done = in_process(tmp_path / "b", server.url, *draw, "--run=hf://somebody/else")
        assert (
            done.returncode == 2 and "hf://somebody/else cannot be had" in done.stderr
        )
        assert done.stderr.count("\n") == 1, done.stderr
    with Image.open(tmp_path / "out" / "seed0003.png") as image:
        drawn = np.asarray(image)
    expected = afgan_jax.load(run).images([3], label=1)[0]
    np.testing.assert_array_equal(drawn, expected)
    done = in_process(tmp_path / "b", "http://127.0.0.1:1", *draw, known)
    assert done.returncode == 0, done.stderr  # from the library's cache


def test_what_is_no_name_is_refused(capsys):
    assert main(["generate", "--run=hf://nobody"]) == 2
    assert "'nobody' is no name of a model: write OWNER/NAME" in capsys.readouterr().err
