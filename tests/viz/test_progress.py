"""How a run learns: its pictures and curves, from a folder or a bucket."""

import json

import buckets
import numpy as np
import pytest
import tiny
from PIL import Image

from afgan_jax import __main__
from afgan_jax.runs import history
from afgan_jax.runs.bucket import Bucket
from afgan_jax.viz import grid, progress


@pytest.mark.parametrize(
    "kimgs, expected",
    [
        ([4, 0, None], [None, 4]),
        ([0, 4], [0, 4]),
        ([None, *range(0, 101, 4)], [None, 16, 28, 44, 56, 72, 84, 100]),
    ],
)
def test_some_of_many_pictures_are_shown(kimgs, expected):
    assert progress.shown(kimgs) == expected


def test_a_strip_has_the_first_images_of_each_sheet():
    images = np.random.default_rng(0).integers(0, 256, (2, 24, 128, 160, 3), np.uint8)
    sheets = {kimg: grid.tile(each, 12) for kimg, each in zip((None, 8), images)}
    shown = progress.strip(sheets, (128, 160), 12)
    top = grid.CAPTION_HEIGHT + 2
    assert shown.shape[1] == 10 * (160 + 2)
    for row, each in enumerate(images):
        y = top + row * (top + 128 + 2)
        np.testing.assert_array_equal(shown[y : y + 128, 162 : 162 + 160], each[1])


def trained(place):
    """A run with two pictures, lines and measurements, one damaged each."""
    tiny.save_run(place, "nowhere.zip", resolution=16, num_layers=4)
    lines = [
        {"nimg": 1000 * i, "Loss/G/loss": {"mean": None if i == 1 else 2.0 / (i + 1)}}
        for i in range(3)
    ]
    sheet = grid.sheet(np.zeros((8, 16, 16, 3), np.uint8), 4)
    stated = {
        "data": {"path": "nowhere.zip", "resolution": 16},
        "updates": {"batch_size": 4},
        "samples": {"columns": 4},
    }
    return {
        "config.json": json.dumps(stated),
        "stats.jsonl": "".join(json.dumps(line) + "\n" for line in lines) + '{"nimg',
        "metric-fd.jsonl": "".join(
            json.dumps({"metric": "fd", "results": {"fd": 9 - s}, "step": s}) + "\n"
            for s in (2, 1)
        )
        + "{}\n",
        "fakes_init.png": sheet,
        "fakes000001.png": sheet + 255,
    }


def check(source, tmp_path, capsys):
    found = history.of(source)
    assert [line["nimg"] for line in found.stats] == [0, 1000, 2000]
    assert found.metrics == {"fd": [(0.004, 8), (0.008, 7)]}
    assert found.pictures == {None: "fakes_init.png", 1: "fakes000001.png"}
    figure = progress.curves(found.stats, found.metrics)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:4] == [*progress.CURVES, "fd"]
    (line, _) = figure.axes[0].get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[0, 2], [2, 2 / 3]])
    folder = tmp_path / "out"
    command = ["analyze", "progress", f"--run={source}", f"--outdir={folder}"]
    assert __main__.main(command) == 0
    assert "wrote progress.png and curves.png" in capsys.readouterr().out
    with Image.open(folder / "progress.png") as opened:
        shown = np.asarray(opened)
    height = 2 * (14 + 2 + 128 + 2)
    assert shown[:height].shape == (height, 4 * 130, 3)
    assert len(shown) > height and not (len(shown) - height) % 14  # the command
    assert (folder / "curves.png").exists()


def test_a_run_in_a_folder(tmp_path, capsys):
    run = tmp_path / "run"
    for name, content in trained(run).items():
        if name.endswith(".png"):
            grid.save_png(run / name, content)
        else:
            (run / name).write_text(content)
    check(run, tmp_path, capsys)
    for picture in run.glob("*.png"):
        picture.unlink()
    command = ["analyze", "progress", f"--run={run}", f"--outdir={tmp_path / 'o'}"]
    assert __main__.main(command) == 0
    assert "there are no pictures in" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["curves.png"]


@pytest.mark.filterwarnings(buckets.LEFT_OPEN)
def test_a_run_in_a_bucket(folder_url, tmp_path, capsys):
    for name, content in trained(folder_url).items():
        if name.endswith(".png"):
            grid.save_png(tmp_path / name, content)
            content = (tmp_path / name).read_bytes()
        else:
            content = content.encode()
        Bucket(folder_url).write(name, content)
    check(folder_url, tmp_path, capsys)
