"""The package as users have it: a wheel, far from the repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("afgan_jax", "configs", "pyproject.toml", "setup.py", "requirements.txt")
PUBLIC = """
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

import afgan_jax

assert pathlib.Path(afgan_jax.__file__).parts[-3] == "site", afgan_jax.__file__
afgan_jax.train("smoke", "run", changes={"train.total_kimg": 0.008})
model = afgan_jax.load("run")
assert isinstance(model, afgan_jax.Model) and model.layers
images = model.images(seeds=[0, 1], psi=0.7, rotate=0.1, translate=(0.1, 0))
assert images.shape == (2, 16, 16, 3) and images.dtype == np.uint8
ws = model.ws(seeds=[0, 1])
assert model.synthesize(ws).dtype == np.float32

def brightness(ws):
    return jnp.mean(model.apply(model.variables, ws, method="synthesize"))

assert jax.jit(jax.grad(brightness))(ws).shape == ws.shape
assert (model.without_filters().images(ws=ws) != model.images(ws=ws)).any()
found = afgan_jax.analysis.equivariance(model, samples=2, batch=2)
assert found.decibels["eqt_int"] > 10 and found.figure() is not None
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the built wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in (*PARTS, "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    build = ["wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir=.."]
    subprocess.run(
        [sys.executable, "-m", "pip", *build], cwd=source, check=True, timeout=300
    )
    (wheel,) = folder.glob("afgan_jax-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    shutil.rmtree(source)
    return folder / "site"


def python(site, folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(site), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_public_names_work_from_a_wheel_in_another_folder(site, tmp_path):
    done = python(site, tmp_path, "-c", PUBLIC)
    assert done.returncode == 0, done.stderr
    flags = ["--run=run", "--seeds=0-1", "--outdir=out"]
    done = python(site, tmp_path, "-m", "afgan_jax", "generate", *flags)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "grid.png").is_file()


def test_configs_are_found_by_name_from_a_wheel(site, tmp_path):
    code = """
from afgan_jax.assembly import settings
for name in ("earth64", "earth64:t", "ffhqu256:r", "ablation:g:small", "metfaces1024"):
    assert settings.load(name)["generator"]["synthesis"]["kind"]
"""
    done = python(site, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr


def test_what_the_code_reads_is_in_a_wheel(site):
    read = [
        path.relative_to(ROOT)
        for path in (ROOT / "afgan_jax").rglob("*")
        if path.suffix in (".css", ".html", ".js", ".json", ".txt", ".safetensors")
    ]
    assert len(read) >= 5
    for path in read:
        assert (site / path).read_bytes() == (ROOT / path).read_bytes(), path
