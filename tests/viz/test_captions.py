"""Figures have one style, and below them the command that drew them."""

import matplotlib
import numpy as np
from PIL import Image

from afgan_jax.viz import captions, grid, plot, style


def opened(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_picture_of_a_command_has_it_below_and_else_nothing(tmp_path):
    image = np.full((20, 400, 1), 100, np.uint8)
    with captions.of("python -m afgan_jax generate " + 8 * "--run=runs/earth "):
        grid.save_figure(tmp_path / "told.png", image)
        assert len(captions.lines(66)) == 3
    grid.save_figure(tmp_path / "alone.png", image)
    told = opened(tmp_path / "told.png")
    assert told.shape == (20 + 3 * grid.CAPTION_HEIGHT, 400, 3)
    assert (told[:20] == 100).all()
    for line in np.split(told[20:], 3):
        assert line.min() < 100 and line[:, -2:].min() == 255
    assert (opened(tmp_path / "alone.png") == 100).all()


def test_a_narrow_picture_becomes_as_wide_as_its_caption(tmp_path):
    with captions.of("python -m afgan_jax generate --run=runs/earth"):
        grid.save_figure(tmp_path / "x.png", np.zeros((9, 16, 4), np.uint8))
    told = opened(tmp_path / "x.png")
    assert told.shape[1] > 200 and told.shape[0] == 9 + grid.CAPTION_HEIGHT
    assert (told[:9] == 255).all()  # transparent, and white beside it


def test_a_figure_has_the_style_and_leaves_that_of_others(tmp_path):
    before = dict(matplotlib.rcParams)
    curves = {str(i): (np.arange(3.0), np.arange(3.0) + i) for i in range(7)}
    drawn = plot.curve_panels({"a": curves}, xlabel="s", ylabel="dB", ylim=(0, 9))
    assert [line.get_color() for line in drawn.axes[0].lines] == list(style.COLOURS)
    assert not drawn.axes[0].get_legend().get_frame_on()
    with captions.of("python -m afgan_jax " + 50 * "x "):
        path = plot.save(tmp_path / "told.png", drawn)
    told, alone = opened(path), opened(plot.save(tmp_path / "alone.png", drawn))
    assert len(told) > len(alone)
    np.testing.assert_array_equal(told[: len(alone)], alone)
    assert dict(matplotlib.rcParams) == before
