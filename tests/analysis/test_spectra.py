"""Average spectra of batches: whole sets at once are the oracle."""

import numpy as np
import pytest

from afgan_jax.analysis import spectra


def random_images(n=11, r=8, c=3, seed=0):
    return np.random.default_rng(seed).integers(0, 200, [n, r, r, c], np.uint8)


def batches(images, size=4):
    return (images[i : i + size] for i in range(0, len(images), size))


def test_stats_are_those_of_all_pixels():
    x = random_images()
    found = spectra.stats(batches(x))
    assert found.count == 11
    np.testing.assert_allclose(found.mean, x.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.std, x.std(axis=(0, 1, 2)), rtol=1e-12)
    assert found.overall() == pytest.approx((x.mean(), x.std()), rel=1e-12)


def test_power_is_the_mean_over_images_whatever_the_batches():
    x = random_images()
    s = spectra.stats(batches(x))
    found = spectra.mean_power(batches(x), s.mean, s.std, beta=3.0, interp=2)
    assert found.count == 11 and (found.beta, found.interp) == (3, 2)
    w = np.kaiser(8, 3.0)
    white = (x - s.mean) / s.std * np.outer(w, w)[..., None] / np.sum(w**2)
    F = np.fft.fft2(white, s=(16, 16), axes=(1, 2))
    expected = np.fft.fftshift(np.mean(np.abs(F) ** 2, axis=(0, 3)))
    # 1e-5: images and transform are float32.
    np.testing.assert_allclose(found.power, expected, rtol=1e-5, atol=1e-5)


def test_whitened_noise_has_a_mean_power_of_one():
    x = random_images(400)
    s = spectra.stats(batches(x, 50))
    found = spectra.mean_power(batches(x, 50), s.mean, s.std, beta=0.0, interp=1)
    # Whitening sets the mean of the power exactly; float32.
    assert found.power.mean() == pytest.approx(1, rel=1e-5)


def test_what_cannot_be_whitened_is_refused():
    x = random_images()
    one, three = np.ones(1), np.ones(3)
    with pytest.raises(ValueError, match=r"std=\[0.0\] must be positive"):
        spectra.mean_power([x], one, 0 * one)
    with pytest.raises(ValueError, match="have 3 channels, the images 1"):
        spectra.mean_power([x[..., :1]], three, three)
    with pytest.raises(ValueError, match="there are no images"):
        spectra.mean_power([], one, one)
    with pytest.raises(ValueError, match="there are no images"):
        spectra.stats([])


def test_spectra_are_drawn_in_decibels():
    noise = random_images(20, r=16)
    found = spectra.stats(batches(noise))
    power = spectra.mean_power(batches(noise), found.mean, found.std).power
    (axis, bar) = spectra.heatmap(power, title="noise").axes
    assert axis.get_title() == "noise" and bar.get_ylabel() == "dB"
    figure = spectra.slices({"one": power, "two": 10 * power})
    for axis in figure.axes:
        one, two = axis.lines
        np.testing.assert_allclose(two.get_ydata() - one.get_ydata(), 10, atol=1e-6)
