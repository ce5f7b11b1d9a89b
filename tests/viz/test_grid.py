"""Claims about viz.grid."""

import numpy as np
import pytest
from PIL import Image

from afgan_jax.viz import grid, video


def random_images(n, h=4, w=6, c=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [n, h, w, c], np.uint8)


@pytest.mark.parametrize(
    ("resolution", "size"),
    [(16, (32, 32)), (256, (16, 30)), (1024, (4, 7)), ((128, 512), (32, 15))],
)
def test_grid_fills_about_8k(resolution, size):
    assert grid.grid_size(resolution) == size


def test_tiles_are_in_reading_order_and_the_rest_is_black():
    x = random_images(5)
    image = grid.tile(x, columns=3)
    assert image.shape == (8, 18, 3)
    for i in range(5):
        r, c = divmod(i, 3)
        np.testing.assert_array_equal(image[4 * r :, 6 * c :][:4, :6], x[i])
    assert not image[4:, 12:].any()


def test_strip_holds_every_row_and_a_caption_above_it():
    rows = [random_images(3), random_images(2, h=5, w=7, c=1)]
    image = grid.strip(rows, ["equivariant", "not"], gap=2)
    top = grid.CAPTION_HEIGHT + 2
    np.testing.assert_array_equal(image[top : top + 4, 8:14], rows[0][1])
    second = 2 * top + 4 + 2
    grey = np.repeat(rows[1][1], 3, axis=-1)
    np.testing.assert_array_equal(image[second : second + 5, 9:16], grey)
    np.testing.assert_array_equal(image[second : second + 5, :7, :1], rows[1][0])
    assert (image[:top] < 128).any(), "the caption has ink"
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        grid.strip(rows, ["one"])


def test_what_is_transparent_is_white_beside_captions_and_in_animations(tmp_path):
    images = random_images(2, c=4)
    images[..., 3] = [[0, 255, 255, 255, 255, 51]]
    image = grid.strip([images], ["half there"], gap=2)
    assert image.shape[2] == 3
    shown = image[grid.CAPTION_HEIGHT + 2 :][:4, :6]
    assert (shown[:, 0] == 255).all()
    np.testing.assert_array_equal(shown[:, 1:5], images[0, :, 1:5, :3])
    mixed = 0.2 * images[0, :, 5, :3] + 0.8 * 255
    np.testing.assert_allclose(shown[:, 5], mixed, atol=0.6)
    video.save(tmp_path / "a.gif", iter(images), len(images), 10)
    with Image.open(tmp_path / "a.gif") as opened:
        assert "transparency" not in opened.info


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_reads_back_exactly(tmp_path, channels):
    image = random_images(1, c=channels)[0]
    grid.save_png(tmp_path / "a.png", image)
    back = np.array(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(back.reshape(image.shape), image)


def test_a_failed_save_keeps_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    grid.save_png(path, random_images(1)[0])
    before = path.read_bytes()

    def full(self, name, **_):
        name.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        grid.save_png(path, random_images(1, seed=1)[0])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
