"""Training on labels of every kind, and on a set whose labels are left alone."""

import functools
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from training import counting, smoke
from training.smoke import settings

from afgan_jax.__main__ import main
from afgan_jax.data import archive
from afgan_jax.runs import class_names, run_directory
from afgan_jax.training import loop

CLASSES = np.arange(24) % 4 % 3  # 12, 6, 6
KINDS = {  # labels of 24 images, what a run says of them, two to generate
    "one-hot": (
        CLASSES.tolist(),
        "3 classes; images of each: 0: 12, 1: 6, 2: 6",
        ("--class=0", "--class=2"),
    ),
    "multi-hot": (
        np.stack([CLASSES == 0, CLASSES > 0, CLASSES < 2], axis=1).astype(int).tolist(),
        "any of 3 classes; images of each: 0: 12, 1: 12, 2: 18",
        ("--label=1,0,1", "--label=0,1,0"),
    ),
    "vectors": (
        np.linspace(-1, 2, 72).reshape(24, 3).tolist(),
        "vectors of 3; mean of each number (least to largest): 0: 0.458 (-1 to 1.92)",
        ("--label=-1,0,0.5", "--label=2,0.25,-0.5"),
    ),
}
# Two programs to compile instead of three.
CHEAP = {"losses.r1_gamma": 0.0, "updates.D_reg_interval": None}
USED = {"data.use_labels": True, "generator.mapping.c_dim": 3, "discriminator.c_dim": 3}


def labelled(path, labels) -> str:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 16, 16, 3), np.uint8)
    return str(archive.write_archive(path, images, labels))


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, float)


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("multi-hot", "vectors")]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one-hot", *SLOW])
def test_labels_of_every_kind_are_trained_on_and_generate(kind, tmp_path, capsys):
    labels, line, (one, other) = KINDS[kind]
    images = labelled(tmp_path / "set.zip", labels)
    smoke.train(tmp_path / "run", settings(images, 0.016, **USED, **CHEAP))
    said = capsys.readouterr().err
    assert f"labels: {line}" in said and "WARNING" not in said
    grids = []
    for flag in (one, other):
        folders = [f"--run={tmp_path / 'run'}", f"--outdir={tmp_path / 'out'}"]
        assert main(["generate", *folders, "--seeds=0-1", "--batch=2", flag]) == 0
        grids.append(pixels(tmp_path / "out" / "grid.png"))
    assert not np.array_equal(grids[0], grids[1])


def begin(monkeypatch, images, workdir, **overrides):
    """All of a training but the training."""
    begun = functools.wraps(loop.train)(lambda *_, **__: counting.Untrained)
    monkeypatch.setattr(loop, "train", begun)
    smoke.train(workdir, settings(images, 0.016, **overrides))


def test_a_run_keeps_the_names_of_its_classes(monkeypatch, tmp_path):
    path, names = labelled(tmp_path / "set.zip", CLASSES.tolist()), ("a", "b", "c")
    with zipfile.ZipFile(path) as bare, zipfile.ZipFile(f"{path}.zip", "w") as named:
        for member in bare.namelist():
            content = bare.read(member)
            if member == "dataset.json":
                table = json.loads(content) | {"class_names": names}
                content = json.dumps(table)
            named.writestr(member, content)
    begin(monkeypatch, f"{path}.zip", tmp_path / "run", **USED)
    with run_directory.Run.open(tmp_path / "run") as run:
        assert class_names.read(run.path) == names


def test_labels_that_are_left_alone_are_a_loud_warning(monkeypatch, tmp_path, capsys):
    images = labelled(tmp_path / "set.zip", CLASSES.tolist())
    begin(monkeypatch, images, tmp_path / "run")
    (warning,) = [x for x in capsys.readouterr().err.splitlines() if "WARNING" in x]
    assert "set.zip has labels (c_dim=3), and they are NOT used" in warning
    for name, value in USED.items():
        assert f"{name}={value}" in warning


def test_labels_that_cannot_be_used_are_a_warning_too(monkeypatch, tmp_path, capsys):
    labels = [[1.0, 0.0]] * 23 + [[np.nan, 0.0]]
    images = labelled(tmp_path / "set.zip", labels)
    begin(monkeypatch, images, tmp_path / "run")
    assert "WARNING: labels are not used, and could not be" in capsys.readouterr().err


def test_no_labels_are_no_warning(monkeypatch, images, tmp_path, capsys):
    begin(monkeypatch, images, tmp_path / "run")
    assert "WARNING" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            {"data.use_labels": True},
            "generator.mapping.c_dim=0 .* set generator.mapping.c_dim"
            "=3 discriminator.c_dim=3$",
        ),
        (USED | {"data.use_labels": False}, "c_dim=3 .*c_dim=0, or .*use_labels=True"),
        (
            USED | {"generator.mapping.c_dim": 2},
            "generator.mapping.c_dim=2 .* generator.mapping.c_dim=3",
        ),
    ],
)
def test_networks_of_other_labels_are_refused(
    monkeypatch, tmp_path, overrides, message
):
    images = labelled(tmp_path / "set.zip", CLASSES.tolist())
    with pytest.raises(ValueError, match=message):
        begin(monkeypatch, images, tmp_path / "run", **overrides)
    assert not (tmp_path / "run").exists()


def test_what_a_set_holds_and_is_not_trained_on_is_told(monkeypatch, tmp_path, capsys):
    images = labelled(tmp_path / "set.zip", None)
    with zipfile.ZipFile(images, "a") as more:
        for name in ("a.heic", "labels.csv"):
            more.writestr(name, b"")
    begin(monkeypatch, images, tmp_path / "run")
    warnings = [x for x in capsys.readouterr().err.splitlines() if "WARNING" in x]
    assert [line.partition("not used: ")[2] for line in warnings] == [
        "1 HEIC (a.heic; pip install pillow-heif)",
        "files that may hold labels: labels.csv",
    ]
