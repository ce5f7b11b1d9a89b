"""Octave-band filters, noise and holes by what they are for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from afgan_jax.augment import corruption


def images_of(shape, seed=0):
    x = np.random.default_rng(seed).standard_normal(shape)
    return jnp.asarray(x, jnp.float32)


def test_equal_gains_scale_the_image_by_their_square():
    x = images_of((2, 24, 30, 3))
    gains = jnp.asarray([[1.0] * 4, [2.0] * 4])
    expected = x * np.array([1, 4])[:, None, None, None]  # once along each axis
    np.testing.assert_allclose(corruption.filter_bands(x, gains), expected, atol=1e-5)


def test_filter_is_scipys_in_float64():
    x, gains = images_of((2, 24, 30, 1)), np.array([[0.5, 2, 1, 3], [1, 1, 0.2, 1]])
    got = corruption.filter_bands(x, jnp.asarray(gains, jnp.float32))
    for image, g, filtered in zip(x, gains, got):
        taps = g @ corruption.bands()
        expected = np.asarray(image[..., 0], np.float64)
        for axis in (0, 1):  # scipy's "mirror" is the reflection without the edge twice
            expected = ndimage.correlate1d(expected, taps, axis, mode="mirror")
        np.testing.assert_allclose(filtered[..., 0], expected, atol=3e-5)


def test_gains_keep_the_power_of_a_natural_image():
    factors = jnp.asarray([[3.0, 1, 1, 1], [1, 1, 0.1, 1]])
    gains = np.asarray(corruption.band_gains(factors))
    np.testing.assert_allclose(gains**2 @ (np.array([10, 1, 1, 1]) / 13), 1, rtol=1e-6)
    np.testing.assert_allclose(gains / gains[:, 1:2], factors, rtol=1e-6)


def test_noise_has_the_given_strength_in_each_image():
    x, normal = images_of((2, 40, 40, 3)), images_of((2, 40, 40, 3), 1)
    out = corruption.add_noise(x, jnp.asarray([[0.0], [0.25]]), normal)
    assert np.std(np.asarray(out) - x, axis=(1, 2, 3)) == pytest.approx(
        [0, 0.25], rel=0.05
    )


@pytest.mark.parametrize(
    "center, share",
    [((0.5, 0.5), 1 / 4), ((0.0, 0.0), 1 / 16), ((0.5, 1.0), 1 / 8), ((-9, -9), 0)],
)
def test_hole_is_half_of_each_side_and_ends_at_borders(center, share):
    x = jnp.ones((1, 16, 24, 2))
    out = np.asarray(corruption.cut_out(x, jnp.asarray([center], jnp.float32)))
    assert (out == 0).mean() == share and set(np.unique(out)) <= {0, 1}


def test_hole_lies_at_its_centre():
    x = jnp.ones((1, 16, 32, 1))
    out = np.asarray(corruption.cut_out(x, jnp.asarray([[0.25, 0.75]])))[0, :, :, 0]
    rows, cols = np.nonzero(out == 0)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (8, 15, 0, 15)


def test_nothing_flows_back_through_a_hole():
    center = jnp.asarray([[0.5, 0.5]])
    gradient = jax.grad(lambda x: jnp.sum(corruption.cut_out(x, center)))
    found = gradient(jnp.ones((1, 8, 8, 1)))
    assert not found[0, 2:6, 2:6].any() and found.sum() == 64 - 16
