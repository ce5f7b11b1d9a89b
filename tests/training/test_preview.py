"""train --preview-augment: an image in a run directory that can still be trained."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from afgan_jax.__main__ import main
from afgan_jax.augment import control
from afgan_jax.data import archive
from afgan_jax.runs import config, run_directory
from afgan_jax.training import preview
from afgan_jax.viz import grid

SMOKE = str(pathlib.Path(__file__).parents[2] / "configs" / "smoke.py")
COUNT, SIZE, GAP, ZOOM = 10, 16, 2, 8


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "noise.zip"
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
    archive.write_archive(path, pixels)
    return path


def command(images, workdir, *flags):
    given = [
        f"--config={SMOKE}",
        f"--workdir={workdir}",
        f"--config.data.path={images}",
        "--config.samples.squares=True",
    ]
    return ["train", *given, *flags]


def rows_of(path):
    """The four rows of images of a preview, captions left out."""
    with Image.open(path) as file:
        image = np.asarray(file)
    shown = SIZE * ZOOM
    step = grid.CAPTION_HEIGHT + shown + 2 * GAP
    assert image.shape[0] == 4 * step and image.shape[1] >= COUNT * (shown + GAP)
    starts = [i * step + grid.CAPTION_HEIGHT + GAP for i in range(4)]
    rows = [image[start : start + shown, : COUNT * (shown + GAP)] for start in starts]
    cells = np.stack(rows).reshape(4, shown, COUNT, shown + GAP, 3)
    return cells[:, ::ZOOM, :, :shown:ZOOM].astype(int).swapaxes(1, 2)


def test_preview_shows_images_above_what_D_sees_of_them(images, tmp_path, capsys):
    run = tmp_path / "run"
    flags = ["--config.augment.mode=ada", "--config.augment.preset=color"]
    assert main(command(images, run, "--preview-augment=auto", *flags)) == 0
    assert f"wrote {run / 'augment.png'}" in capsys.readouterr().err
    real, *seen = rows_of(run / "augment.png")
    changed = [(row != real).any(axis=(1, 2, 3)).mean() for row in seen]
    assert changed == sorted(changed) and changed[-1] == 1  # p = 0.2, 0.5, 1
    assert {p.name for p in run.iterdir() if not p.name.startswith(".")} == {
        "augment.png",
        "checkpoints",
        "config.json",
    }
    # Nothing was trained: every setting may still change.
    settings = config.load(SMOKE)
    with run_directory.Run.create_or_open(run, settings) as opened:
        assert opened.latest_step() is None


def test_preview_at_0_shows_the_images_themselves(images, tmp_path):
    flags = ["--preview-augment=0", "--config.augment.mode=fixed"]
    assert main(command(images, tmp_path, *flags)) == 0
    real, *seen = rows_of(tmp_path / "augment.png")
    assert all(np.abs(row - real).max() <= 1 for row in seen)  # rounding to 8 bits


def test_rows_show_the_strengths_that_training_has():
    fixed = control.make_control(mode="fixed", p=0.4)
    ada = control.make_control(mode="ada")
    assert preview.strengths(ada, None) == (0.2, 0.5, 1.0)
    assert preview.strengths(fixed, None) == (0.4,) * 3
    assert preview.strengths(ada, 0.7) == preview.strengths(fixed, 0.7) == (0.7,) * 3


@pytest.mark.parametrize(
    "flags, message",
    [
        (
            ["--preview-augment=auto"],
            "augment.mode=noaug leaves images to D as they are",
        ),
        (["--preview-augment=2"], "--preview-augment=2 must be a number from 0 to 1"),
        (["--preview-augment=nan"], "--preview-augment=nan must be a number"),
        (["--preview-augment="], "--preview-augment= must be a number from 0 to 1"),
        (
            [
                "--preview-augment=auto",
                "--config.augment.mode=ada",
                "--config.augment.preset=bgcf",
            ],
            "imgfilter needs images of more than 21 pixels a side, not 16x16",
        ),
        (["--config.augment.mode=adda"], "mode=adda is unknown: use one of noaug"),
        (["--config.augment.moed=ada"], "did you mean augment.mode?"),
    ],
)
def test_bad_flags_are_one_line_and_leave_nothing(
    images, tmp_path, capsys, flags, message
):
    assert main(command(images, tmp_path / "run", *flags)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
