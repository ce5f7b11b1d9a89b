"""Projection: the latent and the motion of an image are found again."""

import numpy as np
import pytest
import tiny
from PIL import Image

import afgan_jax
from afgan_jax import __main__, errors
from afgan_jax import model as models
from afgan_jax.assembly import projecting
from afgan_jax.data import single
from afgan_jax.edit import projection, w_files

R = 16


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Conditional R."""
    sizes = {"resolution": R, "num_layers": 4, "conv_kernel": 1, "radial": True}
    run = tmp_path_factory.mktemp("runs") / "tiny"
    return tiny.save_run(run, "nowhere.zip", **sizes, output_scale=0.5)


@pytest.fixture(scope="module")
def model(run):
    return afgan_jax.load(run)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(projection, "ANGLES", 6)
    monkeypatch.setattr(projection, "FIRST", 20)
    monkeypatch.setattr(projection, "SECOND", 20)


@pytest.fixture(scope="module")
def projector(model):
    return projection.Projector(model, steps=100, label=1)


def moved(model, projector, seed, **motion):
    """An image, whose w does not move the input: only the motion does."""
    ws = np.array(model.ws([seed], label=1))
    ws[:, 0] = projector._mean
    return np.clip(model.synthesize(ws, **motion), -1, 1)


@pytest.mark.slow
def test_a_turn_and_a_shift_are_found(model, projector):
    target = moved(model, projector, 3, rotate=0.5, translate=(0.15, -0.1))
    told = []
    found = projector.project(target, lambda *words: told.append(words))
    assert abs(found.rotate - 0.5) < 0.05
    np.testing.assert_allclose(found.translate, (0.15, -0.1), atol=0.04)  # 0.6 pixels
    assert found.psnr > 30 and len(found.losses) == 100
    assert found.losses[-1] < 0.5 * found.losses[0]
    assert [words[:3] for words in told[-2:]] == [("w+", 90, 100), ("w+", 100, 100)]
    motion = {"rotate": found.rotate, "translate": found.translate}
    again = model.synthesize(found.ws, **motion)
    np.testing.assert_allclose(again, found.image, atol=1e-5)
    assert np.ptp(found.ws[0, 1:], axis=0).max() > 0  # one w each


def test_in_w_all_layers_share_one(model):
    found = projection.Projector(model, space="w", steps=10, label=1, move=False)
    target = model.synthesize(model.ws([3], label=1))
    result = found.project(target)
    assert np.ptp(result.ws[0], axis=0).max() == 0
    assert (result.rotate, result.translate) == (0, (0, 0))
    assert result.losses[-1] < result.losses[0]


@pytest.mark.slow
def test_a_tuned_copy_is_nearer_and_the_model_stays(model, projector):
    target = moved(model, projector, 4) * 0.5 + 0.2
    found = projector.project(target)
    before = np.array(model.synthesize(found.ws))
    tuned = projection.Tuner(model, steps=30, label=1).tuned(found)
    assert tuned.psnr > found.psnr + 1 and len(tuned.losses) == 30
    np.testing.assert_array_equal(model.synthesize(found.ws), before)
    assert (tuned.model.synthesize(found.ws) != before).any()


@pytest.mark.slow
def test_lpips_is_a_further_distance(model):
    """An embedding that sees colour alone."""

    def embed(images):
        return 30 * images.mean(axis=(1, 2))

    options = {"steps": 10, "label": 1, "move": False}
    target = model.synthesize(model.ws([5], label=1)) + np.float32([0.1, 0, -0.1])
    nearer = []
    for given in (None, embed):
        found = projection.Projector(model, embed=given, **options).project(target)
        goal = {"image": target, "embedding": embed(target)}
        parts = [projection.distance(found.image, goal, e)[0] for e in (None, embed)]
        away = np.sum((embed(found.image) - embed(target)) ** 2)
        assert parts[1] - parts[0] == pytest.approx(away, rel=1e-3)
        nearer.append(away)
    assert nearer[1] < nearer[0]


def test_what_cannot_be_projected_is_refused(model):
    sections = tiny.sections(kind="stylegan2", resolution=16, channel_max=8)
    fixed = models.untrained(sections)
    for options, why in (
        ({"space": "z"}, "space='z' must be one of w or w\\+"),
        ({"steps": 0}, "steps=0 must be 1 or more"),
    ):
        with pytest.raises(errors.SettingError, match=why):
            projection.Projector(model, label=1, **options)
    with pytest.raises(errors.SettingError, match="StyleGAN2's input is fixed"):
        projection.Projector(fixed, move=True)
    with pytest.raises(errors.SettingError, match="label=None must be one of"):
        projection.Projector(model)


def test_the_distance_is_that_of_every_scale():
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(1, 16, 16, 3)).astype(np.float32)
    coarse = np.ones((1, 16, 16, 3), np.float32)
    zero = np.zeros_like(coarse)
    # Of a constant every scale has the same error; noise is averaged away.
    scales = 3  # 16, 8, 4
    assert projection.pyramid_distance(coarse, zero)[0] == pytest.approx(scales)
    noise = float(projection.pyramid_distance(fine, zero)[0])
    assert np.mean(fine**2) < noise < 1.7 * np.mean(fine**2)


def project(run, *flags):
    line = ["project", *flags, f"--run={run}", "--class=1", "--steps=20"]
    return __main__.main([str(word) for word in line])


@pytest.mark.slow
def test_images_of_a_folder_are_projected_once(
    run, model, tmp_path, monkeypatch, capsys
):
    for name in ("AFGAN_VGG16", "AFGAN_LPIPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path / "cache"))
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    images = model.images([1, 2], label=1)
    Image.fromarray(images[0]).resize((64, 48)).save(photos / "a.jpg")
    Image.fromarray(images[1]).convert("L").save(photos / "b.png")
    (photos / "notes.txt").write_text("no image")
    flags = [photos, f"--outdir={out}", "--tune=5"]
    assert project(run, *flags) == 0
    said = capsys.readouterr().out
    assert "distances of pixels alone" in said
    assert "a: PSNR " in said and "b: PSNR " in said and "with --rotate=" in said
    kinds = ("npz", "found.png", "safetensors")
    names = {f"{n}.{kind}" for n in "ab" for kind in kinds}
    assert {path.name for path in out.iterdir()} == names | {"projection.png"}
    ws = w_files.read(out / "a.npz", model)
    tuned = afgan_jax.load(out / "a.safetensors")
    with np.load(out / "a.npz") as found:
        motion = {"rotate": float(found["rotate"])}
        motion["translate"] = tuple(found["translate"])
    with Image.open(out / "a.found.png") as shown:
        drawn = tuned.images(ws=ws, **motion)[0].astype(int)
        assert np.abs(drawn - np.asarray(shown)).max() <= 1  # rounding

    def never(*_):
        raise AssertionError("projected again")

    with monkeypatch.context() as patch:
        patch.setattr(projection.Projector, "project", never)
        assert project(run, *flags) == 0
        with pytest.raises(AssertionError, match="again"):
            project(run, *flags, "--space=w")


@pytest.mark.slow
def test_a_bad_image_of_a_folder_stops_no_other(run, tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.png").write_bytes(b"no image")
    Image.new("RGB", (R, R), "red").save(photos / "b.1.png")
    assert project(run, photos, f"--outdir={out}", "--no-move") == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("WARNING: left out: ") and "a.png" in warning
    assert error == "error: 1 of 2 are no images that can be read"
    assert {p.name for p in out.iterdir()} == {
        "b.1.npz",
        "b.1.found.png",
        "projection.png",
    }


def test_every_image_has_files_of_its_own(tmp_path):
    found = projecting.names(["x/a.jpg", "x/A.png", "x/img.001.png"], tmp_path)
    assert list(found.values()) == ["a.jpg", "A.png", "img.001"]
    for name in ("projection.png", "b.found.png"):
        (tmp_path / name).touch()
        paths = [str(tmp_path / name), str(tmp_path / "b.png")]
        with pytest.raises(ValueError, match="would be written over"):
            projecting.names(paths, tmp_path)


def test_many_images_are_shown_in_rows():
    pair = np.zeros((2, 128, 128, 3), np.uint8)
    shown = projecting.strip([pair] * 70)
    assert shown.shape == (8 * (14 + 2 + 128 + 2), 16 * 130, 3)


def test_what_is_no_image_is_one_line(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.png").write_bytes(b"no image")
    for path, why in (
        ("a.png", "a.png: Pillow cannot identify it"),
        ("b.png", "b.png: No such file"),
        ("empty", "empty holds no images"),
    ):
        assert project(run, tmp_path / path, f"--outdir={tmp_path / 'o'}") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and why in line
    assert not (tmp_path / "o").exists()


def test_an_image_is_upright_cut_to_the_middle_and_on_white(tmp_path):
    picture = np.zeros((40, 20, 4), np.uint8)
    picture[:20] = [255, 0, 0, 255]
    picture[20:] = [0, 0, 255, 0]  # transparent
    path = tmp_path / "a.png"
    tags = Image.Exif()
    tags[0x0112] = 3  # upside down
    Image.fromarray(picture).save(path, exif=tags)
    found = single.read(path, (8, 8), 3)
    assert found.shape == (8, 8, 3)
    np.testing.assert_array_equal(found[0], np.full((8, 3), 255))
    np.testing.assert_array_equal(found[-1], np.full((8, 3), [255, 0, 0]))
    assert single.read(path, (8, 16), 1).shape == (8, 16, 1)
