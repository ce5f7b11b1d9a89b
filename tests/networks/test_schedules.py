"""Bands of layers from octave to octave (configurations F to H)."""

import math

import pytest
import tiny

from afgan_jax.networks import lowpass, schedules

SETTINGS = {"resolution": 256, "schedule": "octaves"}


def test_two_layers_share_an_octave_but_for_the_first_and_the_image():
    layers = tiny.make_plan(**SETTINGS)
    rates = [spec.out_band.rate for spec in layers]
    assert rates == [4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 256]
    assert layers[0].in_band.rate == 4
    assert [spec.in_size[0] for spec in layers[:2]] == [24, 24]  # margins of 10


def test_f_is_cut_off_at_nyquist_everywhere():
    for spec in tiny.make_plan(**SETTINGS, num_critical=None):
        rate = spec.out_band.rate
        assert spec.out_band.cutoff == rate / 2
        assert spec.out_band.half_width == (math.sqrt(2) - 1) * rate / 2


def test_stopbands_of_g_begin_at_nyquist_below_the_images_rate():
    layers = tiny.make_plan(**SETTINGS)
    for spec in layers:
        band = spec.out_band
        if band.rate < 256:
            assert band.cutoff == pytest.approx((2 - math.sqrt(2)) * band.rate / 2)
            assert band.cutoff + band.half_width == band.rate / 2
        else:
            assert band.cutoff == 128
    assert layers[0].in_band.cutoff == pytest.approx(2 * (2 - math.sqrt(2)))


def test_channels_are_stylegan2s_until_cutoffs_are_lowered():
    """min(C_base / (2 f_c), C_max): with f_c = s/2 that is C_base / s."""
    sizes = {"channel_base": 2**14, "channel_max": 512}
    critical = tiny.make_plan(**SETTINGS, num_critical=None, **sizes)
    assert [s.out_channels for s in critical[6:13:2]] == [512, 256, 128, 64]
    lower = tiny.make_plan(**SETTINGS, **sizes)
    assert [s.out_channels for s in lower[6:13:2]] == [512, 437, 219, 64]


def test_kaiser_filter_of_all_octaves_is_the_same():
    """So that StyleGAN2's blocks (configuration E) can have it as a constant."""
    unit = schedules.Band(0.5, schedules.octave_half_width(1), 1)
    design, _ = lowpass.DESIGNS["kaiser"]
    taps = design(6, 2, unit, 2, False)
    assert taps.size == 12
    for rate in (4, 64, 1024):
        band = schedules.Band(rate / 2, schedules.octave_half_width(rate), rate)
        assert design(6, 2, band, 2 * rate, False) == pytest.approx(taps, abs=1e-15)
