"""Claims about signal.spectrum, with NumPy's float64 transform as oracle."""

import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.signal import spectrum


def noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def oracle(x, beta, interp):
    """By the definition: a matrix of sines for each axis, no fast transform."""
    n, h, w, c = x.shape
    taper = np.outer(np.kaiser(h, beta), np.kaiser(w, beta))
    x = x * (taper / np.linalg.norm(taper))[..., None]
    rows, columns = (
        np.exp(-2j * np.pi * np.outer((np.arange(i * n) - i * n // 2) / (i * n), k))
        for i, n, k in ((interp, h, np.arange(h)), (interp, w, np.arange(w)))
    )
    F = np.einsum("yh,nhwc,xw->nyxc", rows, x, columns)
    return np.mean(np.abs(F) ** 2, axis=(0, 3))


@pytest.mark.parametrize("size, beta, interp", [(8, 8.0, 1), (9, 3.0, 1), (6, 8.0, 3)])
def test_power_is_by_definition(float64, size, beta, interp):
    x = noise([3, size, size + 2, 2])
    found = spectrum.power(jnp.asarray(x), beta=beta, interp=interp)
    # 1e-12: rounding of float64 sums.
    np.testing.assert_allclose(found, oracle(x, beta, interp), rtol=1e-12, atol=1e-12)


def test_power_sums_to_that_of_the_windowed_image(float64):
    x = noise([1, 12, 12, 1])
    w = spectrum.window(12, 5.0)
    for interp in (1, 4):  # Parseval: the sum grows with the number of samples
        total = np.sum(spectrum.power(jnp.asarray(x), beta=5.0, interp=interp))
        energy = np.sum((x[0, ..., 0] * np.outer(w, w)) ** 2)
        assert total == pytest.approx(energy * (12 * interp) ** 2, rel=1e-12)


def test_a_sinusoid_peaks_at_its_frequency():
    t = np.arange(32) / 32
    wave = np.cos(2 * np.pi * (5 * t[None, :] - 3 * t[:, None]))
    P = np.asarray(spectrum.power(jnp.asarray(wave)[None, ..., None], interp=4))
    f = spectrum.frequencies(len(P), 4)
    peaks = {(f[y], f[x]) for y, x in np.argwhere(P > 0.999 * P.max())}
    assert peaks == {(-3, 5), (3, -5)}
    # The Kaiser window's side lobes: below -50 dB away from the two peaks.
    far = min_distance(f, peaks) > 5
    assert P[far].max() < 1e-5 * P.max()


def min_distance(f, peaks):
    return np.min([np.hypot(f[:, None] - y, f[None, :] - x) for y, x in peaks], axis=0)


@pytest.mark.parametrize("beta, interp", [(0.0, 1), (8.0, 2)])
def test_white_noise_is_flat_at_0_db(beta, interp):
    x = jnp.asarray(noise([2000, 8, 8, 3]), jnp.float32)
    P = np.asarray(spectrum.power(x, beta=beta, interp=interp))
    # Of 6000 exponential draws (at real frequencies of twice the variance), 6 sigma.
    np.testing.assert_allclose(P, 1, atol=6 * np.sqrt(2 / 6000))


def test_blur_in_decibels_keeps_the_mean_and_planes_and_widens_a_peak():
    P = np.full([16, 16], 10.0)
    np.testing.assert_allclose(spectrum.decibels(P, smooth=2.0), 10)
    P[8, 8] = 1e4
    sharp, soft = spectrum.decibels(P), spectrum.decibels(P, smooth=2.0)
    assert sharp[8, 8] == pytest.approx(40)
    assert soft.mean() == pytest.approx(sharp.mean())
    # A Gaussian of deviation 2: 1 / (2 pi 2^2) in its middle.
    assert soft[8, 8] == pytest.approx(10 + 30 / (8 * np.pi), rel=1e-3)
    assert np.isfinite(spectrum.decibels(np.zeros([4, 4]))).all()


@pytest.mark.parametrize("size", [6, 7])
def test_slices_run_from_the_middle_to_the_edge_and_the_corner(size):
    f = np.fft.fftshift(np.fft.fftfreq(size) * size)
    P = np.hypot(np.abs(f)[:, None], np.abs(f)[None, :])
    found = spectrum.slices(P, interp=2)
    for angle, count in ((0, 1), (45, np.sqrt(2))):
        x, y = found[angle]
        assert x[-1] == pytest.approx(count * (size // 2) / 2)
        np.testing.assert_allclose(y, 2 * x)  # P is the distance in samples
    np.testing.assert_allclose(spectrum.frequencies(size, 2), f / 2)


@pytest.mark.parametrize("size", [16, 15])
def test_horizontal_is_the_spectrum_of_rows(size):
    x = noise([2, size, size, 3])
    w = spectrum.window(size)
    x = x * np.outer(w, w)[..., None]
    # By Parseval, the mean over vertical frequencies is a sum over rows.
    power = np.abs(np.fft.rfft(x, axis=2)) ** 2
    expected = np.mean(np.sum(power, axis=1), axis=(0, 2))
    images = jnp.asarray(noise([2, size, size, 3]), jnp.float32)
    found = np.asarray(spectrum.power(images), np.float64)
    frequencies, rows = spectrum.horizontal(found)
    np.testing.assert_array_equal(frequencies, np.arange(size // 2 + 1))
    np.testing.assert_allclose(rows, expected, rtol=1e-4)  # float32


def test_waves_of_oblong_images_lie_where_their_frequency_is():
    # 6 cycles in 24 rows, the shorter side, along x, and as many along y.
    h, w, cycles, interp = 24, 40, 6, 2
    y, x = np.arange(h)[:, None] / h, np.arange(w)[None] / h
    for wave, angle in ((x + 0 * y, 0), (x + y, 45)):
        images = jnp.float32(np.cos(2 * np.pi * cycles * wave))[None, ..., None]
        P = np.asarray(spectrum.power(images, interp=interp), np.float64)
        frequency, value = spectrum.slices(P, interp)[angle]
        length = cycles * (np.sqrt(2) if angle else 1)
        assert abs(frequency[np.argmax(value)] - length) <= 1.01 / interp
        rows, columns = (spectrum.frequencies(n, interp, interp * h) for n in P.shape)
        top = np.unravel_index(np.argmax(P), P.shape)
        assert abs(columns[top[1]]) == pytest.approx(cycles, abs=1 / interp)
        assert abs(rows[top[0]]) == pytest.approx(cycles if angle else 0, abs=0.5)
