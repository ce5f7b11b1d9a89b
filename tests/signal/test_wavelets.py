"""Wavelet filters: what defines them, in float64."""

import numpy as np
import pytest

from afgan_jax.signal import wavelets

MOMENTS = (2, 4, 6)


@pytest.mark.parametrize("moments", MOMENTS)
def test_symlet_is_orthogonal_to_its_even_shifts(moments):
    h = np.sqrt(2) * wavelets.symlet(moments)
    shifted = [h[2 * k :] @ h[: h.size - 2 * k] for k in range(moments)]
    np.testing.assert_allclose(shifted, np.eye(1, moments)[0], atol=1e-9)


@pytest.mark.parametrize("moments", MOMENTS)
def test_symlet_blocks_alternating_polynomials(moments):
    h = wavelets.symlet(moments)
    k = np.arange(h.size) / h.size
    for power in range(moments):
        # numpy finds multiple roots of polynomials to about 1e-11.
        assert abs(((-1.0) ** np.arange(h.size) * k**power) @ h) < 1e-9


def test_symlet_of_two_moments_has_its_closed_form():
    r = np.sqrt(3)
    expected = np.array([1 + r, 3 + r, 3 - r, 1 - r]) / 8
    np.testing.assert_allclose(wavelets.symlet(2), expected, atol=1e-14)


def test_symlet_bends_phase_less_than_the_minimum_phase_filter():
    """Daubechies' first choice, all roots within the unit circle, is far worse."""
    roots = np.roots(wavelets.symlet(6)[::-1])
    roots = roots[np.abs(roots + 1) > 0.05]  # without the multiple root at -1
    inside = np.where(np.abs(roots) > 1, 1 / roots, roots)
    taps = np.real(np.poly([*inside, *[-1.0] * 6]))
    errors = [wavelets._phase_error(h) for h in (wavelets.symlet(6), taps)]
    assert 4 * errors[0] < errors[1]


def test_bands_are_symmetric_and_add_up_to_an_impulse():
    bank = wavelets.analysis_bank(2, 3)
    assert bank.shape == (4, 43)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-15)
    np.testing.assert_allclose(bank.sum(axis=0), np.eye(1, 43, 21)[0], atol=1e-12)


def test_bands_pass_one_octave_each():
    """The gain at the middle of each band, by its Fourier sum."""
    bank = wavelets.analysis_bank(2, 3)
    middles = np.array([0, 3 / 32, 3 / 16, 3 / 8])  # in cycles per sample
    gains = np.cos(2 * np.pi * np.outer(middles, np.arange(-21, 22))) @ bank.T
    assert (np.argmax(gains, axis=1) == np.arange(4)).all()
    assert np.diag(gains).min() > 0.5
