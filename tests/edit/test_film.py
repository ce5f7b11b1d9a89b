"""Films: what is seen at each time, computed as it is taken."""

import itertools

import jax
import numpy as np
import pytest
import tiny

import afgan_jax
from afgan_jax import errors
from afgan_jax.edit import directions, film, motions, track, w_files, walks

R = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Conditional."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    tiny.save_run(run, "nowhere.zip", resolution=R, num_layers=4)
    return afgan_jax.load(run)


def images(model, ws, **motion):
    return model.images(ws=ws, **motion).astype(int)


def drawn(model, film_, count, **options):
    frames = film.frames({"": model}, film_, count, squares=True, **options)
    return np.stack(list(frames)).astype(int)[:, ::8, ::8]


@pytest.mark.slow
def test_seeds_are_passed_at_their_times_and_turned(model):
    found = film.of_seeds(model, [3, 5], label=1, psi=0.5, seconds=1.5)
    assert found.seconds == 3 and found.loop
    still = drawn(model, found, 4, batch=3)
    ws = model.ws([3, 5], label=1, psi=0.5)
    assert np.abs(still[::2] - images(model, ws)).max() <= 1  # rounding
    assert np.abs(still[1] - still[0]).max() > 5
    turning = film.dataclasses.replace(found, motion=motions.steady(turns=1))
    turned = drawn(model, turning, 4)
    expected = images(model, ws[1:], rotate=np.pi)
    assert np.abs(turned[2] - expected[0]).max() <= 1


def test_a_film_that_ends_elsewhere_shows_its_last_keyframe(model):
    found = film.of_seeds(model, [3, 5, 6], label=0, loop=False)
    assert found.seconds == 4
    shown = drawn(model, found, 5)
    assert np.abs(shown[::2] - images(model, model.ws([3, 5, 6], label=0))).max() <= 1


@pytest.mark.parametrize("walk", film.WALKS)
def test_every_walk_is_a_loop_of_other_images(model, walk):
    found = film.of_seeds(model, walk=walk, label=0)
    ends = found.ws(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(ends[:, 0], ends[:, 2], atol=1e-4)
    assert np.abs(ends[:, 0] - ends[:, 1]).max() > 0.1


def test_cells_of_a_grid_have_seeds_of_their_own(model):
    found = film.of_seeds(model, range(6), size=(2, 3), label=0)
    (frame,) = film.frames({"": model}, found, 1, squares=True)
    assert frame.shape == (2 * 128, 3 * 128, 3)
    each = images(model, model.ws(range(6), label=0))
    for i, image in enumerate(each):
        y, x = 128 * (i // 3), 128 * (i % 3)
        shown = frame[y : y + 128, x : x + 128][::8, ::8].astype(int)
        assert np.abs(shown - image).max() <= 1


def test_no_more_is_drawn_than_is_taken(model, monkeypatch):
    counted = []
    kept = type(model).synthesize
    monkeypatch.setattr(
        type(model), "synthesize", lambda *a, **k: counted.append(1) or kept(*a, **k)
    )
    found = film.of_seeds(model, [0, 1], label=0)
    frames = film.frames({"": model}, found, 1_000_000, batch=2)
    assert len(list(itertools.islice(frames, 5))) == 5
    assert len(counted) == 3


def test_models_are_shown_side_by_side(model):
    found = film.of_seeds(model, [0], label=0)
    both = {"filters on": model, "filters off": model.without_filters()}
    (frame,) = film.frames(both, found, 1)
    assert frame.shape == (14 + 4 + 128 + 4, 2 * (128 + 4), 3)
    assert (frame[18:, :128] != frame[18:, 132:260]).any()


def test_an_anchored_film_leaves_motion_to_the_average(model):
    found = film.anchored(model, film.of_seeds(model, [0, 1], label=0))
    ws = found.ws(np.array([0.0, 0.3]))
    average = model.variables["buffers"]["mapping"]["w_avg"]
    np.testing.assert_array_equal(ws[0, :, 0], np.stack([average] * 2))
    assert np.abs(ws[0, 0, 1:] - ws[0, 1, 1:]).max() > 0.01


def test_a_swinging_film_goes_both_ways_along_a_direction(model):
    along = directions.find(model, "pca", count=2, label=0)
    still = film.of_seeds(model, [0], label=0)
    found = film.swinging(still, along, {1: 2.0}).ws(np.array([0, 0.25, 0.5, 0.75]))[0]
    expected = still.ws(np.array([0.0]))[0, 0]
    moved = found - expected
    assert np.abs(moved[[0, 2]]).max() < 1e-5
    np.testing.assert_allclose(moved[1, -1], 2 * along.vectors[1], atol=1e-5)
    np.testing.assert_allclose(moved[3, -1], -2 * along.vectors[1], atol=1e-5)


@pytest.mark.parametrize(
    "options, why",
    [
        ({"walk": "run"}, "walk='run' must be one of spline, linear"),
        (
            {"seeds": range(5), "size": (2, 2)},
            "grid='2x2' has 4 cells: spline needs as many",
        ),
        (
            {"seeds": range(8), "size": (2, 2), "walk": "noise"},
            "noise needs as many seeds or ws and not 8",
        ),
        ({"seeds": []}, "not 0"),
        ({"ws": np.zeros((2, 6, 8)), "walk": "slerp"}, "ws have none; use spline"),
    ],
)
def test_what_does_not_go_together_is_refused(model, options, why):
    with pytest.raises(errors.SettingError, match=why):
        film.of_seeds(model, label=0, **options)


TRACK = """
length: 4
keys:
  - {time: 0, seed: 3, psi: 0.5, class: 1}
  - {time: 1, seed: 5, class: 1, rotate: 90, easing: hold}
  - {time: 2, w: face.npz, translate: [0.25, 0], zoom: 2}
"""


def test_a_track_says_what_is_seen_when(model, tmp_path):
    ws = np.array(model.ws([9], label=0))
    np.savez(tmp_path / "face.npz", w=ws[0])
    (tmp_path / "track.yaml").write_text(TRACK)
    found = track.read(tmp_path / "track.yaml", model)
    assert found.seconds == 4 and found.loop
    times = np.array([0, 0.25, 0.49, 0.5, 1.0])
    latents = found.ws(times)[0]
    three, five = model.ws([3], label=1, psi=0.5)[0], model.ws([5], label=1)[0]
    for i, expected in enumerate((three, five, five, ws[0], three)):
        np.testing.assert_allclose(latents[i], expected, atol=1e-5)
    matrices = found.motion.transforms(times)
    turned = motions.affine.user_transform(np.pi / 2)
    moved = motions.affine.user_transform(np.pi / 2, 0.25, 0.0, 2.0)
    for i, expected in enumerate((np.eye(3), turned, turned, moved, np.eye(3))):
        np.testing.assert_allclose(matrices[i], expected, atol=1e-6)


def test_a_track_without_easings_is_a_spline(model, tmp_path):
    keys = [{"time": float(i), "seed": i, "class": 0} for i in range(3)]
    found = track.of_data({"keys": keys, "loop": False}, model)
    assert found.seconds == 2 and found.motion is None and not found.loop
    ws = np.array(model.ws(range(3), label=0))
    expected = walks.spline(ws, loop=False)(np.array([0.3]))
    np.testing.assert_allclose(found.ws(np.array([0.3]))[0], expected, atol=1e-5)


KEY = {"time": 0.0, "seed": 1, "class": 0}


@pytest.mark.parametrize(
    "given, why",
    [
        ("keys: [", "is no YAML: while parsing"),
        ("3", "must have names and values: loop, length, keys"),
        ({"keys": [], "length": 1}, "has no keys"),
        ({"keys": [KEY], "speed": 1}, "speed is unknown: use loop, length, keys"),
        ({"keys": [KEY | {"spin": 1}]}, "keyframe 1: spin is unknown"),
        ({"keys": [KEY | {"seed": "x"}]}, "seed: 'x' must be of kind int"),
        ({"keys": [KEY | {"psi": True}]}, "psi: True must be of kind float"),
        ({"keys": [KEY]}, "length is missing: when the loop begins again"),
        ({"keys": [KEY], "length": float("inf")}, "length: inf must be finite"),
        ({"keys": [{"time": 0, "seed": 1}], "length": 1}, "at 0 s: class is missing"),
        ({"keys": [KEY], "length": 0}, "length 0 must be above 0"),
        ({"keys": [KEY, KEY], "length": 2}, "must begin with 0 and rise"),
        ({"keys": [{"seed": 1}], "length": 2}, "keyframe 1: time is missing"),
        ({"keys": [{"time": 0}], "length": 2}, "at 0 s: give either seed or w"),
        ({"keys": [KEY | {"easing": "slow"}], "length": 2}, "easing slow is unknown"),
        ({"keys": [KEY | {"translate": [1]}], "length": 2}, "must be two numbers"),
        (
            {"keys": [{"time": 0, "w": "a.npz", "psi": 1}], "length": 1},
            "psi is for a seed",
        ),
    ],
)
def test_a_track_that_cannot_be_is_told_in_a_line(model, tmp_path, given, why):
    file = tmp_path / "track.yaml"
    text = given if isinstance(given, str) else track.yaml.safe_dump(given)
    file.write_text(text)
    with pytest.raises(ValueError) as caught:
        track.read(file, model)
    assert why in str(caught.value) and "\n" not in str(caught.value)


def test_ws_of_files_fit_the_model(model, tmp_path):
    ws = np.array(model.ws([1, 2], label=0))
    file = tmp_path / "w.npz"
    for given, expected in (
        (ws, ws),
        (ws[:1], ws[:1]),  # as the published projector writes one
        (ws[1], ws[1:]),
        (ws[:, 0], ws),  # one for all layers, of each image
        (ws[:, :1], ws),
    ):
        np.savez(file, w=given)
        np.testing.assert_array_equal(w_files.read(file, model), expected)
    assert jax.device_get(ws[:, 0] == ws[:, 1]).all()


@pytest.mark.parametrize(
    "content, why",
    [
        (lambda f: np.savez(f, v=np.zeros(3)), "has no w, only v"),
        (lambda f: np.save(f, np.zeros(3)), "is one array, not an .npz"),
        (lambda f: f.write(b"PK\x03\x04 nonsense"), "is no .npz, or it is damaged"),
        (lambda f: f.write(b""), "is no .npz, or it is damaged"),
        (lambda f: np.savez(f, w=np.zeros((1, 6, 7))), "[1, 6, 7] do not fit"),
        (lambda f: np.savez(f, w=np.full((1, 6, 8), np.nan)), "not finite"),
        (lambda f: np.savez(f, w=np.zeros((0, 6, 8))), "holds no ws"),
        (lambda f: np.savez(f, w=np.array([print], object)), "damaged"),
    ],
)
def test_what_is_no_file_of_ws_is_told_in_a_line(model, tmp_path, content, why):
    with open(tmp_path / "w.npz", "wb") as file:
        content(file)
    with pytest.raises(ValueError) as caught:
        w_files.read(tmp_path / "w.npz", model)
    assert why in str(caught.value) and "\n" not in str(caught.value)
