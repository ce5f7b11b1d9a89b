"""Low-pass designs against SciPy's, and against what Kaiser's formula promises."""

import numpy as np
import pytest
from scipy import signal

from afgan_jax.signal import filters


def random_designs(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        rate = float(rng.choice([16, 64, 256, 1024]))
        taps = int(rng.integers(4, 33))
        cutoff = rate * rng.uniform(0.05, 0.3)
        half_width = rate * rng.uniform(0.02, 0.2)
        yield taps, cutoff, half_width, rate


@pytest.mark.parametrize("design", list(random_designs(40)))
def test_lowpass_equals_scipys_window_design(design):
    taps, cutoff, half_width, rate = design
    expected = signal.firwin(taps, cutoff, width=2 * half_width, fs=rate)
    np.testing.assert_allclose(filters.lowpass(*design), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("attenuation", [5.0, 20.9, 21.1, 35.0, 49.9, 50.1, 90.0])
def test_kaiser_beta_follows_kaisers_rule(attenuation):
    expected = signal.kaiser_beta(attenuation)
    assert filters.kaiser_beta(attenuation) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("radial", [False, True])
def test_lowpass_has_unit_dc_gain(radial):
    for taps, *band in random_designs(20):
        h = filters.lowpass(taps, *band, radial=radial)
        assert h.sum() == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize(
    ("taps", "half_width"), [(12, 0.05), (12, 0.1), (24, 0.05), (24, 0.1), (48, 0.05)]
)
def test_stopband_is_as_quiet_as_kaiser_promises(taps, half_width):
    """From 24 to 75 dB beyond cutoff + half_width; the formula is a fit, to 2.5 dB."""
    h = filters.lowpass(taps, 0.25, half_width, 1.0)
    stopband = np.linspace(0.25 + half_width, 0.5, 2000)
    loudest = np.abs(filters.response(h, stopband, 1.0)).max()
    promised = filters.kaiser_attenuation(taps, half_width, 1.0)
    assert -20 * np.log10(loudest) == pytest.approx(promised, abs=2.5)


def test_attenuation_is_that_of_the_loudest_frequency_beyond():
    h = np.array([0.25, 0.5, 0.25])  # response cos^2(pi f): half at 1/4, none at 1/2
    assert filters.attenuation(h, 0.25, 1.0) == pytest.approx(20 * np.log10(2))
    # In all directions: along the diagonal, cos^2 twice, sqrt 2 nearer to 0.
    diagonal = -80 * np.log10(np.cos(np.pi / 4 / 2**0.5))
    assert filters.attenuation(np.outer(h, h), 1.0, 4.0) == pytest.approx(diagonal)
    assert filters.attenuation(h, 0.5, 1.0) == np.inf


def test_response_along_a_diagonal_is_that_of_both_axes():
    h = np.array([0.25, 0.5, 0.25])
    f = np.linspace(0, 0.5, 9)
    expected = (
        np.cos(np.pi * f * np.cos(0.6)) ** 2 * np.cos(np.pi * f * np.sin(0.6)) ** 2
    )
    for taps in (h, np.outer(h, h)):
        np.testing.assert_allclose(filters.response(taps, f, 1.0, 0.6), expected)


@pytest.mark.parametrize("radial", [False, True])
def test_passband_is_flat_and_half_at_the_cutoff(radial):
    h = filters.lowpass(48, 0.2, 0.1, 1.0, radial=radial)
    passband = filters.response(h, np.linspace(0, 0.1, 50), 1.0)
    np.testing.assert_allclose(passband, 1, atol=0.01)
    assert filters.response(h, [0.2], 1.0)[0] == pytest.approx(0.5, abs=0.03)


def test_response_of_a_radial_filter_is_the_same_in_all_directions():
    """A separable one differs by more than half of its gain between directions."""
    for taps in (24, 25):  # with no tap in the middle, and with one
        isotropic = directions(filters.lowpass(taps, 0.2, 0.1, 1.0, radial=True))
        assert np.ptp(isotropic, axis=0).max() < 0.01
    row = filters.lowpass(24, 0.2, 0.1, 1.0)
    assert np.ptp(directions(np.outer(row, row)), axis=0).max() > 0.3


def directions(h):
    """Response along 16 directions at some frequencies, [angle, frequency]."""
    x = np.arange(h.shape[0]) - (h.shape[0] - 1) / 2
    frequencies = np.linspace(0, 0.35, 30)
    gains = []
    for angle in np.linspace(0, np.pi / 2, 16):
        fx, fy = frequencies * np.cos(angle), frequencies * np.sin(angle)
        waves = [np.exp(2j * np.pi * np.outer(f, x)) for f in (fy, fx)]
        gains.append(np.einsum("fi,ij,fj->f", waves[0], h, waves[1]).real)
    return np.array(gains)


def test_gaussian_has_the_response_of_a_gaussian():
    """exp(-2 (pi sigma f / 2 f_c)^2) with sigma 0.4, whatever the rate."""
    for cutoff, rate in ((2, 32), (2, 64), (100, 512)):
        f = np.linspace(0, 2 * cutoff, 50)
        expected = np.exp(-2 * (np.pi * 0.4 * f / (2 * cutoff)) ** 2)
        h = filters.gaussian(cutoff, rate, reach=8 / (4 * cutoff))
        np.testing.assert_allclose(filters.response(h, f, rate), expected, atol=2e-3)


def test_gaussian_ends_where_it_is_cut_off_or_at_six_deviations():
    assert filters.gaussian(1, 100, reach=0.5).size == 100
    assert filters.gaussian(1, 100, reach=9).size == 240  # 1.2 to either side


def test_lanczos_ends_at_its_second_zero_and_is_half_at_the_cutoff():
    for cutoff, rate in ((2, 32), (4, 64), (8, 512)):
        h = filters.lanczos(cutoff, rate)
        assert h.size == 2 * round(rate / cutoff)  # |x| < 2 / (2 f_c)
        gains = filters.response(h, [cutoff / 4, cutoff, 2 * cutoff], rate)
        np.testing.assert_allclose(gains, [1, 0.5, 0], atol=0.03)
        assert filters.lanczos(cutoff, rate, a=3).size == 3 * round(rate / cutoff)


def test_unknown_window_is_refused():
    with pytest.raises(ValueError, match="window='hann' is unknown"):
        filters.lowpass(6, 0.2, 0.1, 1.0, window="hann")
