"""The layer plan: consistent at every resolution, errors, filters switched off."""

import dataclasses
import math

import numpy as np
import pytest
import tiny

from afgan_jax import image_size
from afgan_jax.networks import layered, lowpass

# Powers of two, multiples of them, twice odd numbers, oblongs, and the limits.
RESOLUTIONS = [16, 18, 24, 30, 32, 48, 64, 74, 96, 100, 102, 126, 128, 160, 192, 250]
RESOLUTIONS += [256, 320, 384, 500, 512, 640, 720, 768, 900, 998, 1000, 1022, 1024]
RESOLUTIONS += [1026, 2048, 8192, (96, 160), (160, 96), (270, 480), (30, 62)]
RESOLUTIONS += [(16, 2048)]
CONFIGS = {
    "t": {},
    "r": {"conv_kernel": 1, "radial": True},
    "f": {"schedule": "octaves", "num_critical": None},
    "h": {"schedule": "octaves"},
    "r-inflexible": {"schedule": "octaves", "conv_kernel": 1, "radial": True},
}
PLANS = [(resolution, name) for name in CONFIGS for resolution in RESOLUTIONS]
FILTERS = [{"lowpass": "lanczos"}, {"lowpass": "gaussian"}, {"lowpass": "bilinear"}]
FILTERS += [{"filter_size": 4}, {"filter_size": 8}, {"act_up": 1}, {"act_up": 4}]


@pytest.mark.parametrize(("resolution", "config"), PLANS)
def test_layers_fit_together_at_every_resolution(resolution, config):
    layers = tiny.make_plan(resolution=resolution, **CONFIGS[config])
    for before, after in zip(layers, layers[1:]):
        assert after.in_channels == before.out_channels
        assert after.in_size == before.out_size
        assert after.in_band == before.out_band
    last, size = layers[-1], image_size.size_of(resolution)
    assert last.out_size == size
    assert last.out_band.rate == min(size)
    assert last.is_rgb and last.out_channels == 3


@pytest.mark.parametrize("config", CONFIGS)
def test_critical_layers_are_two_and_the_images_or_all(config):
    layers = tiny.make_plan(resolution=256, **CONFIGS[config])
    assert len(layers) == (15 if config in "tr" else 14)
    critical = sum(spec.is_critical for spec in layers)
    assert critical == (14 if config == "f" else 3)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_bands_grow_and_fit_their_sampling_rates(resolution):
    layers = tiny.make_plan(resolution=resolution)
    bands = [layers[0].in_band, *(spec.out_band for spec in layers)]
    cutoffs = [band.cutoff for band in bands]
    rates = [band.rate for band in bands]
    assert cutoffs == sorted(cutoffs) and rates == sorted(rates)
    shorter = min(image_size.size_of(resolution))
    assert cutoffs[0] == 2 and cutoffs[-1] == shorter / 2
    for band in bands:
        assert band.cutoff <= band.rate / 2 <= band.cutoff + band.half_width + 1e-9
        assert math.log2(shorter / band.rate) % 1 == 0  # so that factors are whole


@pytest.mark.parametrize(
    ("resolution", "settings"),
    [(resolution, CONFIGS[name]) for resolution, name in PLANS]
    + [(48, CONFIGS[name] | more) for name in ("t", "h") for more in FILTERS],
)
def test_layer_sizes_follow_from_padding_and_filters(resolution, settings):
    """Convolve, upsample, pad, filter twice, decimate: `out_size` is what is left."""
    for spec in tiny.make_plan(resolution=resolution, **settings):
        for size, pad, out in zip(spec.in_size, spec.pad, spec.out_size):
            fine = (size + spec.conv_kernel - 1) * spec.up + sum(pad)
            left = fine - (spec.up_taps - 1) - (spec.down_taps - 1)
            assert -(-left // spec.down) == out
        assert spec.up * spec.in_band.rate == spec.tmp_rate
        assert spec.down * spec.out_band.rate == spec.tmp_rate


@pytest.mark.parametrize("kernel", lowpass.DESIGNS)
@pytest.mark.parametrize("resolution", [16, 48, 100, 256, (96, 160), (270, 480)])
def test_centres_of_input_and_output_canvas_coincide(resolution, kernel):
    """Distance in fine pixels from the centre of all inputs to that of all outputs.

    With a filter of even length between them, at most half a fine pixel: where an
    even number of taps meets an odd number of samples, none lies in the middle.
    """
    for spec in tiny.make_plan(resolution=resolution, lowpass=kernel):
        for axis in (0, 1):
            assert abs(offset(spec, axis)) <= 0.5, spec.name
            if kernel != "none":
                assert offset(spec, axis) == 0, spec.name


def offset(spec, axis: int) -> float:
    """Follow the centre of the canvas through a layer, in fine pixels."""
    grown = spec.in_size[axis] + spec.conv_kernel - 1
    # Insertion puts zeros after a sample, so sample i of the input lies at i * up.
    centre = (grown - 1) / 2 * spec.up + spec.pad[axis][0]
    centre -= (spec.up_taps - 1) / 2 + (spec.down_taps - 1) / 2
    return centre - (spec.out_size[axis] - 1) / 2 * spec.down


def test_switching_filters_off_repeats_and_drops_pixels():
    for spec in tiny.make_plan(resolution=64, lowpass="none"):
        assert spec.down_filter is None
        assert spec.up_taps == spec.up
        if spec.up > 1:
            np.testing.assert_allclose(spec.up_filter, 1 / spec.up)


def test_radial_filters_are_those_of_the_layers_that_are_not_critical():
    layers = tiny.make_plan(resolution=64, **CONFIGS["r"])
    assert [spec.is_radial for spec in layers] == [True] * 12 + [False] * 3
    for spec in layers[:-1]:
        assert spec.down_filter.ndim == (2 if spec.is_radial else 1)
        assert spec.up_filter.ndim == 1


@pytest.mark.parametrize("kernel", ["lanczos", "gaussian"])
def test_only_kaiser_filters_have_a_radial_form(kernel):
    for spec in tiny.make_plan(resolution=64, lowpass=kernel, **CONFIGS["r"]):
        assert not spec.is_radial
        assert spec.down_filter is None or spec.down_filter.ndim == 1


@pytest.mark.parametrize("config", ["t", "h"])
def test_channels_halve_as_cutoffs_double(config):
    sizes = {"resolution": 1024, "channel_base": 2**14, "channel_max": 600}
    layers = tiny.make_plan(**sizes, **CONFIGS[config])
    for spec in layers[:-1]:
        expected = min(2**13 / spec.out_band.cutoff, 600)
        assert abs(spec.out_channels - expected) <= 0.5


def test_specs_are_constants():
    (first, *_) = tiny.make_plan(resolution=64)
    assert hash(first) == hash(tiny.make_plan(resolution=64)[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.in_channels = 1


def test_describe_has_a_line_for_each_layer():
    layers = tiny.make_plan(resolution=64, **CONFIGS["r"])
    lines = layered.describe(layers).splitlines()[1:]
    assert [line.split()[0] for line in lines] == [spec.name for spec in layers]
    assert sum("radial" in line for line in lines) == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resolution": 15}, "resolution=15 is not supported: .* from 16 to 8192"),
        ({"resolution": 8193}, "resolution=8193"),
        (
            {"resolution": 64, "num_critical": 14},
            "num_critical=14 must be .* below num_layers=14",
        ),
        ({"resolution": 64, "num_critical": 0}, "num_critical=0"),
        ({"resolution": 64, "num_critical": None}, "num_critical=None"),
        ({"resolution": 64, "schedule": "even"}, "schedule='even' is unknown: use one"),
        ({"resolution": 37, "schedule": "octaves"}, "choose an even number of pixels"),
        (
            {"resolution": 64, "schedule": "octaves", "num_critical": 10},
            "num_critical=10 is not possible with the 9 layers .* 1 to 9, or none",
        ),
        (
            {"resolution": 64, "lowpass": "hann"},
            "lowpass='hann' is unknown: use one of kaiser",
        ),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny.make_plan(**settings)


def test_bands_of_octaves_are_those_of_the_paper():
    """f_h = (sqrt(2) - 1) s/2; f_c = s/2 where critical, else s/2 - f_h."""
    specs = tiny.make_plan(resolution=256, schedule="octaves", channel_base=2**14)
    first, last = specs[0].out_band, specs[-1].out_band
    assert (first.rate, last.rate) == (4, 256) and specs[0].in_band == first
    assert first.half_width == pytest.approx(0.828427, abs=1e-6)
    assert first.cutoff == pytest.approx(1.171573, abs=1e-6)
    assert last.half_width == pytest.approx(53.019336, abs=1e-6)
    assert last.cutoff == 128
    beyond = next(spec for spec in specs if spec.out_band.rate == 128)
    assert beyond.out_channels == round(2**14 / 2 / 37.490332)
