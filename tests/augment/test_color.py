"""Colour matrices by what each step means."""

import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.augment import color

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (2, 5, 4, 3)).astype(np.float32)
MEAN = IMAGES.mean(axis=3, keepdims=True)


def recolored(images=IMAGES, **values):
    rows = {n: jnp.full((len(images), 1), v, jnp.float32) for n, v in values.items()}
    matrix = color.color_matrix(rows, images.shape[3])
    if matrix is None:
        return images
    return np.asarray(color.recolor(jnp.asarray(images), matrix))


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"brightness": 0.3}, IMAGES + 0.3),
        ({"contrast": 1.7}, IMAGES * 1.7),
        ({"lumaflip": 1.0}, IMAGES - 2 * MEAN),
        ({"saturation": 0.0}, np.broadcast_to(MEAN, IMAGES.shape)),
        ({"saturation": 2.0}, MEAN + 2 * (IMAGES - MEAN)),
        ({"hue": 2 * np.pi / 3}, IMAGES[..., [2, 0, 1]]),  # red becomes green
        ({"hue": np.pi}, 2 * MEAN - IMAGES),
        ({"brightness": 0.5, "contrast": 2.0}, (IMAGES + 0.5) * 2),
        ({"brightness": 0.5, "lumaflip": 1.0}, IMAGES - 2 * MEAN - 0.5),
    ],
)
def test_step_recolors_as_its_definition_says(values, expected):
    np.testing.assert_allclose(recolored(**values), expected, atol=1e-6)


def test_grey_images_are_coloured_as_if_of_three_equal_channels():
    values = {"brightness": 0.1, "contrast": 1.3, "lumaflip": 1.0}
    grey = recolored(MEAN, **values)
    three = recolored(np.repeat(MEAN, 3, axis=3), **values)
    np.testing.assert_allclose(grey, three[..., :1], atol=1e-6)


def test_transparency_stays_as_it_is():
    values = {"brightness": 0.1, "contrast": 1.3, "hue": 1.0, "saturation": 2.0}
    alpha = np.linspace(-1, 1, MEAN.size, dtype=np.float32).reshape(MEAN.shape)
    found = recolored(np.concatenate([IMAGES, alpha], axis=3), **values)
    np.testing.assert_array_equal(found[..., 3:], alpha)
    np.testing.assert_allclose(found[..., :3], recolored(**values), atol=1e-6)


def test_grey_images_have_no_hue_and_no_saturation():
    assert recolored(MEAN, hue=1.0, saturation=3.0) is MEAN


def test_each_image_has_its_own_matrix():
    rows = {"brightness": jnp.asarray([[0.0], [0.5]])}
    out = color.recolor(jnp.asarray(IMAGES), color.color_matrix(rows, 3))
    np.testing.assert_allclose(out[0], IMAGES[0], atol=1e-6)
    np.testing.assert_allclose(out[1], IMAGES[1] + 0.5, atol=1e-6)
