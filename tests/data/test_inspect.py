"""What is found in archives and how it is worded."""

import json
import shlex

import numpy as np
import pytest
from data.images import encoded, folder, noise, numbered
from PIL import Image

from afgan_jax.assembly import settings as assembled
from afgan_jax.data import advice, archive, inspect
from afgan_jax.runs import config


def smooth(seed, size=32):
    """An image without defects: noise of a photograph's spectrum."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    spectrum = np.fft.fft2(np.random.RandomState(seed).randn(size, size))
    spectrum /= (f + 1 / size) ** 1.8
    x = np.fft.ifft2(spectrum * np.exp(-2 * (np.pi * 0.45 * f) ** 2)).real
    x = (x - x.mean()) / x.std() * 50 + 128
    return np.repeat(np.clip(x, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def said(path, **options):
    return advice.describe(inspect.inspect(path, **options))


def test_a_good_archive_has_no_faults(tmp_path):
    images = [smooth(seed) for seed in range(6)]
    path = archive.write_archive(tmp_path / "a.zip", images, [0, 0, 1, 1, 2, 2])
    lines = said(path)
    assert lines == [
        f"{path}: 6 images",
        "  size: 32x32",
        "  mode: RGB",
        "  no two images are equal",
        "  upscaled: none of 6 checked",
        "  blocked: none of 6 checked",
        "  aliased: none of 6 checked",
        "  letterboxed: none of 6 checked",
        "  3 classes of 2 (class 2) to 2 (class 0) images",
    ]


def test_what_archive_refuses_is_found_all_at_once(tmp_path):
    files = {f"{i}.png": encoded(noise(seed=i)) for i in range(3)}
    files |= {"3.png": encoded(noise(channels=1)), "4.png": encoded(noise((9, 9)))}
    files |= {"5.png": b"no image", "6.png": files["1.png"]}
    files["dataset.json"] = b'{"labels": [["0.png", 0]]}'
    path = folder(tmp_path / "a", files)
    lines = "\n".join(said(path))
    assert "! sizes differ: 8x8, 9x9; dataset convert makes them equal" in lines
    assert "! modes differ: RGB, L" in lines
    assert f"! 1 cannot be read: {path}: 5.png cannot be read" in lines
    assert "! 1 are copies of others, such as 1.png = 6.png" in lines
    assert "lacks the labels of 6 of 7 images" in lines
    (cannot,) = advice.suggest(inspect.inspect(path))
    assert cannot.startswith("cannot be trained on as it is")


def test_images_are_equal_by_pixels_not_by_files(tmp_path):
    image = Image.fromarray(noise())
    one, other = encoded(image), encoded(image, compress_level=0)
    grey = encoded(noise((24, 8), 1))  # the same bytes in another shape
    flat = encoded(noise((8, 24), 1))
    files = {"a.png": one, "b.webp": encoded(image, "webp", lossless=True)}
    path = folder(tmp_path, files | {"c.png": other, "d.png": grey, "e.png": flat})
    groups = inspect.inspect(path).duplicates
    assert groups == (("a.png", "b.webp", "c.png"),)


def test_defects_are_flagged_by_their_share(tmp_path):
    images = [smooth(seed) for seed in range(20)]
    images[3] = np.repeat(np.repeat(images[3][:16, :16], 2, 0), 2, 1)
    path = archive.write_archive(tmp_path / "a.zip", images)
    line = "upscaled: 1 of 20 checked, such as 00000/img00000003.png"
    assert f"  {line}" in said(path)
    images[4] = np.repeat(np.repeat(images[4][:16, :16], 2, 0), 2, 1)
    path = archive.write_archive(tmp_path / "b.zip", images)
    assert any(text.startswith("! upscaled: 2 of 20 checked") for text in said(path))


def test_only_a_sample_is_judged(tmp_path):
    images = [smooth(seed) for seed in range(9)]
    found = inspect.inspect(archive.write_archive(tmp_path / "a", images), sample=3)
    assert set(found.checked.values()) == {3}
    assert found.images == sum(found.sizes.values()) == 9


def test_any_number_of_workers_finds_the_same(tmp_path):
    path = numbered(tmp_path, 9, (32, 32))
    assert inspect.inspect(path, workers=1) == inspect.inspect(path, workers=4)


def test_classes_out_of_balance_are_flagged_by_name(tmp_path):
    path = numbered(tmp_path / "a", 23)
    rows = [[f"{i}.png", 0 if i < 22 else 2] for i in range(23)]
    table = {"labels": rows, "class_names": ["cats", "dogs", "birds"]}
    (path / "dataset.json").write_text(json.dumps(table))
    lines = said(path)
    assert "  2 classes of 1 (birds) to 22 (cats) images" in lines
    assert "! 1 class numbers below 3 have no image" in lines
    assert "! the largest class has 22 times as many images as the smallest" in lines


@pytest.mark.parametrize(("size", "told"), [(32, False), (48, True)])
def test_sizes_that_the_published_program_refuses_are_told(tmp_path, size, told):
    lines = said(archive.write_archive(tmp_path / "a", [smooth(0, size)]))
    line = "  no square of a power of two, as the published program requires"
    assert told == (line in lines)


def test_vectors_are_told_by_their_length(tmp_path):
    path = archive.write_archive(tmp_path / "a", [smooth(0)], [[0.5, 1, 2]])
    assert "  labels: vectors of 3" in said(path)


@pytest.mark.parametrize(
    ("resolution", "batch", "gamma"),
    [
        (16, 8, 0.032),
        (64, 8, 0.512),
        (256, 64, 1.02),
        (512, 32, 8.19),
        (1024, 32, 32.8),
    ],
)
def test_gamma_follows_the_published_rule(tmp_path, resolution, batch, gamma):
    # 1.0 at 256 with batch 64, 32.8 at 1024 with batch 32: the paper's own values.
    image = np.zeros([resolution, resolution, 3], np.uint8)
    found = inspect.inspect(archive.write_archive(tmp_path / "a.zip", [image]))
    lines = "\n".join(advice.suggest(found))
    assert f"--config.losses.r1_gamma={gamma}" in lines
    assert f"0.001 x {resolution} x {resolution} pixels / batch {batch}" in lines


@pytest.mark.parametrize(("channels", "labels"), [(3, None), (1, [0, 1, 2, 1])])
@pytest.mark.parametrize("resolution", [16, 64, 128, 256])
def test_the_suggested_command_is_a_configuration(
    tmp_path, resolution, channels, labels
):
    images = np.zeros([4, resolution, resolution, channels], np.uint8)
    path = archive.write_archive(tmp_path / "a.zip", images, labels)
    command = advice.suggest(inspect.inspect(path))[1]
    words = dict(
        word.removeprefix("--").split("=", 1) for word in shlex.split(command)[4:]
    )
    overrides = {
        name.removeprefix("config."): value
        for name, value in words.items()
        if name.startswith("config.")
    }
    settings = config.load(words["config"], overrides, assembled.SCHEMA)
    for section in ("generator.synthesis", "discriminator"):
        assert config.value(settings, f"{section}.resolution") == resolution
        assert config.value(settings, f"{section}.img_channels") == channels
    for section in ("generator.mapping", "discriminator"):
        assert config.value(settings, f"{section}.c_dim") == (3 if labels else 0)
    found = archive.Archive.open(
        settings["data"]["path"],
        resolution=settings["data"]["resolution"],
        use_labels=settings["data"]["use_labels"],
    )
    assert found.label_dim == settings["generator"]["mapping"]["c_dim"]


def test_batches_and_resolutions_are_those_of_the_configurations():
    for spec, batch, resolution in advice.CONFIGS.values():
        settings = config.load(spec, {}, assembled.SCHEMA)
        assert settings["updates"]["batch_size"] == batch
        assert settings["generator"]["synthesis"]["resolution"] == resolution
