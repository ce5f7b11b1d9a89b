"""Claims about viz.enlarge."""

import numpy as np
import pytest

from afgan_jax.viz import enlarge, grid


def random_images(n, h, w, c=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [n, h, w, c], np.uint8)


@pytest.mark.parametrize(
    "size, columns, factor",
    [
        ((32, 32), 1, 4),
        ((64, 64), 10, 2),
        ((96, 160), 1, 2),
        ((127, 300), 1, 2),
        ((128, 128), 1, 1),
        ((1024, 1024), 7, 1),
        ((16, 16), 100, 2),  # a wide picture
        ((32, 32), 1000, 1),
    ],
)
def test_the_shorter_side_is_seen_and_no_picture_is_too_wide(size, columns, factor):
    assert enlarge.factor(size, columns) == factor
    images = random_images(2, *size, c=1)
    shape = (2, factor * size[0], factor * size[1], 1)
    assert enlarge.enlarged(images, columns=columns).shape == shape


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_squares_are_the_pixels(channels):
    images = random_images(3, 32, 48, channels)
    shown = enlarge.enlarged(images, squares=True)
    for dy, dx in ((0, 0), (3, 3), (1, 2)):
        np.testing.assert_array_equal(shown[:, dy::4, dx::4], images)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_slow_wave_is_drawn_as_the_wave(channels):
    def wave(size):
        x = (np.arange(size) + 0.5) / size
        return 128 + 100 * np.cos(2 * np.pi * 3 * x)

    row = np.broadcast_to(np.rint(wave(32))[:, None], (32, channels))
    images = np.broadcast_to(row, (1, 32, *row.shape)).astype(np.uint8).copy()
    if channels == 4:
        images[..., 3] = 255  # colours of what is transparent do not matter
    shown = enlarge.enlarged(images)[0, :, :, 0].astype(float)
    inside = slice(16, -16)  # at the edges the filter has less to go by
    assert np.abs(shown - wave(128))[:, inside].max() < 4


def test_neighbours_on_a_sheet_do_not_mix():
    images = np.stack([np.zeros((16, 16, 3)), np.full((16, 16, 3), 255)])
    sheet = grid.sheet(images.astype(np.uint8), 2)
    assert sheet.shape == (128, 256, 3)
    assert (sheet[:, :128] == 0).all() and (sheet[:, 128:] == 255).all()
