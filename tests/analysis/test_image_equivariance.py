"""Equivariance of a model: the same by every way of asking, and how it looks."""

import json

import numpy as np
import pytest
import tiny
from PIL import Image

import afgan_jax
from afgan_jax import __main__, analysis
from afgan_jax import model as models
from afgan_jax.analysis import image_equivariance
from afgan_jax.data import archive

R = 32
SIZES = {"resolution": R, "num_layers": 6}
NUMBERS = ("eqt_int", "eqt_frac", "eqr")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Conditional, in bfloat16, of a set that is mirrored."""
    folder = tmp_path_factory.mktemp("runs")
    images = np.random.RandomState(0).randint(0, 256, (6, R, R, 3)).astype(np.uint8)
    path = archive.write_archive(folder / "set.zip", images, [0, 1, 1, 0, 1, 1])
    return tiny.save_run(folder / "tiny", path, dtype="bfloat16", **SIZES)


@pytest.fixture(scope="module")
def model(run):
    return afgan_jax.load(run)


CLASSES = np.eye(2, dtype=np.float32)[[0, 1, 1, 0, 1, 1]]


@pytest.mark.slow
def test_the_batch_changes_nothing(model):
    whole = analysis.equivariance(model, 9, labels=CLASSES, batch=8)
    assert set(whole.decibels) == set(NUMBERS)
    for batch in (1, 4):
        found = analysis.equivariance(model, 9, labels=CLASSES, batch=batch)
        for kind in NUMBERS:  # to the rounding of float32
            assert found.decibels[kind] == pytest.approx(whole.decibels[kind], abs=0.01)


@pytest.mark.slow
def test_verbs_and_functions_agree(run, model, tmp_path, capsys):
    expected = analysis.equivariance(model, 5, labels=CLASSES).decibels
    flags = f"--run={run}", f"--outdir={tmp_path}", "--frames=2", "--seed=0"
    verb = ["analyze", "equivariance", *flags, "--samples=5", "--batch=2"]
    assert __main__.main(verb) == 0
    assert "filters off" in capsys.readouterr().out
    with Image.open(tmp_path / "motion.gif") as film:
        assert film.n_frames == 2
    report = json.loads((tmp_path / "equivariance.json").read_text())
    names = dict(zip(("eqt5_int", "eqt5_frac", "eqr5"), NUMBERS))
    out = tmp_path / "metrics.json"
    verb = ["metrics", f"--run={run}", f"--metrics={','.join(names)}", f"--out={out}"]
    assert __main__.main([*verb, "--batch=8"]) == 0
    measured = json.loads(out.read_text())
    for name, kind in names.items():  # to the rounding of float32
        assert report["filters on"][kind] == pytest.approx(expected[kind], abs=0.01)
        assert measured[name] == pytest.approx(expected[kind], abs=0.01)
        assert report["filters off"][kind] < expected[kind]


def test_numbers_have_intervals_and_a_figure(model):
    found = analysis.equivariance(model, 8, labels=1, kinds=["eqr"])
    low, high = found.intervals["eqr"]
    assert low < found.decibels["eqr"] < high
    (axis,) = found.figure().axes
    assert axis.get_title() == "EQ-R"
    assert sum(bar.get_height() for bar in axis.patches[:-1]) == 8


def test_other_seeds_are_other_samples(model):
    found = [
        analysis.equivariance(model, 2, labels=0, seed=seed, kinds=["eqr"]).decibels
        for seed in (0, 1)
    ]
    assert found[0] != found[1]


def test_labels_are_asked_for(model):
    with pytest.raises(ValueError, match="label=None must be one of"):
        analysis.equivariance(model, 2)


def test_motions_are_shown_side_by_side(model):
    ws = image_equivariance.choose_ws(model, CLASSES, seeds=range(4))
    assert ws.shape == (1, model.num_ws, 8)
    both = image_equivariance.with_and_without_filters(model)
    frames = image_equivariance.film(both, ws, frames=4, squares=True)
    size = 128
    top, below = 14 + 4, 2 * (14 + 4) + size + 4  # captions are 14 high, gaps 4 wide
    assert len(frames) == 4 and frames[0].shape == (below + size + 4, 2 * size + 8, 3)
    for left, each in ((0, model), (size + 4, both["filters off"])):
        columns = slice(left, left + size)
        for y, motions in (
            (top, [{"rotate": i * np.pi / 2} for i in range(4)]),
            (below, [{"translate": xy} for xy in zip(*circle(1.5 / R))]),
        ):
            for frame, motion in zip(frames, motions):
                image = each.images(ws=ws, **motion)[0]
                shown = frame[y : y + size, columns][:: size // R, :: size // R]
                assert np.abs(shown.astype(int) - image).max() <= 1  # rounding
        assert (frames[0][below:] != frames[1][below:]).any()
    still = image_equivariance.strip(both, ws)
    assert still.dtype == np.uint8 and still.shape[1] >= 7 * size


def circle(radius):
    """x and y of 4 points."""
    return radius * np.array([1, 0, -1, 0]), radius * np.array([0, 1, 0, -1])


def test_what_cannot_move_is_refused():
    sizes = {"kind": "stylegan2", "resolution": 16, "channel_max": 8}
    model = models.untrained(tiny.sections(**sizes, z_dim=8, w_dim=8))
    with pytest.raises(ValueError, match="it has no input to move"):
        analysis.equivariance(model, 2)
