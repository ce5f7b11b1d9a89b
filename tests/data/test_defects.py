"""Detectors of defects, on images without them and on the same images with them.

Images are tiles of the Earth and of a photograph, properly shrunk. What counts is
how many of them are flagged: the bounds are what was measured, and a little room.
"""

import io

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

from afgan_jax.data import defects, earth

SIZE = 64
LANCZOS, BICUBIC = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC
BILINEAR, NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST


@pytest.fixture(scope="module")
def globe():
    return earth.load_globe()


def tiles(globe, count=100):
    """Views of land and coast, every so many of those in the set."""
    views = earth.globe_views(1500)
    views = views[earth._is_interesting(earth.look_down(globe, views, earth.PREVIEW))]
    views = views[np.linspace(0, len(views) - 1, count).astype(int)]
    return [Image.fromarray(x.astype(np.uint8)) for x in look(globe, views)]


def look(globe, views):
    return np.clip(earth.look_down(globe, views, SIZE), 0, 255) + 0.5


@pytest.fixture(scope="module")
def earths(globe):
    return tiles(earth.smooth(globe, SIZE))


@pytest.fixture(scope="module")
def photographs():
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        image = Image.open(file)
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4), LANCZOS)
    corners = [
        (left, top)
        for top in range(0, image.height - SIZE, SIZE // 2)
        for left in range(0, image.width - SIZE, SIZE // 2)
    ]
    return [image.crop((x, y, x + SIZE, y + SIZE)) for x, y in corners]


@pytest.fixture(params=["earths", "photographs"])
def images(request):
    return request.getfixturevalue(request.param)


def upscaled(image, filter):
    return image.crop((0, 0, SIZE // 2, SIZE // 2)).resize(image.size, filter)


def as_jpeg(image, quality, crop=0):
    file = io.BytesIO()
    image.save(file, "jpeg", quality=quality)
    return Image.open(file).crop((crop, crop, SIZE, SIZE))


def between_bars(image, share, level=0, turned=False):
    height = round(SIZE * share)
    canvas = Image.new("RGB", image.size, (level,) * 3)
    canvas.paste(image.resize((SIZE, height), LANCZOS), (0, (SIZE - height) // 2))
    return canvas.transpose(Image.Transpose.ROTATE_90) if turned else canvas


def told(defect, images):
    """The share flagged among those judged, and the share that were judged."""
    tell = defects.DETECTORS[defect]
    found = [tell(defects.grey(np.asarray(image))) for image in images]
    judged = [verdict for verdict in found if verdict is not None]
    return sum(judged) / max(1, len(judged)), len(judged) / len(found)


@pytest.mark.parametrize("defect", defects.DETECTORS)
def test_images_without_a_defect_are_let_pass(images, defect):
    flagged, judged = told(defect, images)
    # Of the photograph's tiles some are out of focus, which is no finer than upscaled.
    assert flagged <= (0.08 if defect == "upscaled" else 0.02)
    assert judged >= 0.7


@pytest.mark.parametrize("filter", [LANCZOS, BICUBIC, BILINEAR, NEAREST])
def test_images_upscaled_by_two_are_flagged(images, filter):
    flagged, judged = told("upscaled", [upscaled(image, filter) for image in images])
    assert flagged >= 0.9
    assert judged >= (0.99 if filter == NEAREST else 0.25)


@pytest.mark.parametrize("crop", [0, 5])
def test_strong_jpeg_is_flagged_wherever_its_blocks_begin(images, crop):
    flagged, judged = told("blocked", [as_jpeg(image, 30, crop) for image in images])
    assert flagged >= (0.8 if crop == 0 else 0.5) and judged == 1


def test_weak_jpeg_is_hardly_flagged(earths):
    assert told("blocked", [as_jpeg(image, 95) for image in earths])[0] <= 0.02


def test_what_is_shrunk_without_a_filter_is_flagged(globe, earths, photographs):
    unfiltered = tiles(globe)
    every_second = [Image.fromarray(np.asarray(i)[::2, ::2]) for i in earths]
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        pixels = np.asarray(Image.open(file))[::4, ::4]
    quarters = [
        Image.fromarray(pixels[y : y + SIZE, x : x + SIZE])
        for y in range(0, pixels.shape[0] - SIZE, 16)
        for x in range(0, pixels.shape[1] - SIZE, 16)
    ]
    assert told("aliased", unfiltered)[0] >= 0.9
    assert told("aliased", every_second)[0] >= 0.5
    assert told("aliased", quarters)[0] >= 0.5


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("share", "level"), [(0.75, 0), (0.9, 255), (0.5, 40)])
def test_bars_are_flagged_and_nothing_else_for_them(images, share, level, turned):
    barred = [between_bars(image, share, level, turned) for image in images]
    assert told("letterboxed", barred)[0] >= 0.9  # dark sea is no jump from dark bars
    assert told("blocked", barred)[0] <= 0.1


def test_a_white_background_is_no_letterbox(photographs):
    for image in photographs:
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(image.resize((32, 32), LANCZOS), (16, 16))
        assert not defects.is_letterboxed(defects.grey(np.asarray(canvas)))


@pytest.mark.parametrize("pixels", [np.zeros([64, 64, 3]), np.zeros([8, 8, 1])])
def test_where_nothing_is_to_be_seen_nothing_is_told(pixels):
    image = defects.grey(pixels.astype(np.uint8))
    assert [tell(image) for tell in defects.DETECTORS.values()] == [None] * 4


def test_white_noise_has_its_power_in_every_band():
    # Variance 1 per sample: 0 dB whatever the window and the width.
    noise = np.random.RandomState(0).randn(512, 96).astype(np.float32)
    bands = [defects.BELOW, defects.MIDDLE, defects.EDGE]
    np.testing.assert_allclose(defects._levels(noise, *bands), 0, atol=0.15)
