"""Claims about layer_report: the numbers drawn are those of the layers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import signal

from afgan_jax.analysis import feature_maps, layer_report
from afgan_jax.networks import layered, lowpass
from afgan_jax.signal import fourier

R = {"conv_kernel": 1, "radial": True}
BOTH = pytest.mark.parametrize("settings", [{}, R], ids=["T", "R"])


@BOTH
def test_the_staircase_is_the_schedule_of_the_paper(settings):
    rows = layered.rows(tiny.make_plan(resolution=256, **settings))
    assert (
        len(rows) == 15
        and [row["critical"] for row in rows] == [False] * 12 + [True] * 3
    )
    share = np.minimum(np.arange(15) / 12, 1)
    cutoffs = 2 * 64**share
    least = 2**2.1 * (128 * 2**0.3 / 2**2.1) ** share  # minimum acceptable stopband
    rates = np.minimum(2 ** np.ceil(np.log2(2 * least)), 256)
    column = {key: [row[key] for row in rows] for key in rows[0]}
    np.testing.assert_allclose(column["cutoff"], cutoffs)
    np.testing.assert_array_equal(column["rate"], rates)
    np.testing.assert_allclose(column["stopband"], np.maximum(least, rates / 2))
    half = np.array(column["stopband"]) - column["cutoff"]
    np.testing.assert_allclose(column["half_width"], half)
    before = np.append(rates[0], rates[:-1])
    inner = 2 * np.maximum(rates, before)
    np.testing.assert_array_equal(column["inner_rate"][:-1], inner[:-1])
    assert column["inner_rate"][-1] == 256  # the image's layer is linear


@BOTH
def test_every_response_is_as_quiet_as_it_was_designed(settings):
    rows = layer_report.filter_bank(tiny.make_plan(resolution=256, **settings))
    assert [row["name"] for row in rows if not row["up"]] == [rows[-1]["name"]]
    drawn = [row[side] for row in rows[:-1] for side in ("up", "down")]
    assert len(drawn) == 28
    for found in drawn:
        x, y = np.array(found["frequencies"]), np.array(found["response"])
        loudest = -y[x >= found["stopband"]].max()
        # Kaiser's formula is a fit: of 12 taps it promises up to 5.6 dB too much.
        assert loudest > found["designed"] - 5.7
        if found["radial"]:
            # It knows no diagonals, along which their window leaves 45 dB at best.
            assert min(found["designed"], 46) - 5.7 < found["attenuation"] <= loudest
        else:  # the samples drawn miss the loudest one by little
            assert found["attenuation"] == pytest.approx(loudest, abs=1)
        assert y[0] == pytest.approx(0, abs=1e-3)
    radial = [row["down"]["radial"] for row in rows[:-1]]
    assert radial == ([True] * 12 + [False] * 2 if settings else [False] * 14)


@BOTH
def test_taps_and_response_drawn_are_those_of_the_layer(settings):
    spec = tiny.make_plan(resolution=64, **settings)[7]
    (row,) = layer_report.filter_bank([spec])
    for side, taps in (("up", spec.up_filter), ("down", spec.down_filter)):
        found = row[side]
        taps = taps if taps.ndim == 1 else taps.sum(axis=0)
        np.testing.assert_array_equal(found["taps"], taps)
        x, h = signal.freqz(taps, worN=np.array(found["frequencies"]), fs=spec.tmp_rate)
        np.testing.assert_allclose(found["frequencies"], x, rtol=1e-12)
        np.testing.assert_allclose(
            10 ** (np.array(found["response"]) / 20), abs(h), rtol=1e-3, atol=1e-9
        )


def test_a_radial_response_is_alike_along_the_diagonal_and_another_is_not():
    apart = []
    for settings in ({}, R):
        spec = tiny.make_plan(resolution=64, **settings)[6]
        found = layer_report.filter_bank([spec])[0]["down"]
        before = np.array(found["frequencies"]) < 0.8 * found["stopband"]
        curves = np.array([found["response"], found["diagonal"]])[:, before]
        apart.append(np.abs(np.diff(curves, axis=0)).max())
    assert apart[0] > 3 and apart[1] < 1  # dB; measured: 3.9, 0.6


def test_other_filters_have_no_attenuation_by_design():
    first, *_ = layer_report.filter_bank(tiny.make_plan(resolution=64, lowpass="none"))
    assert first["up"]["designed"] is None and first["down"] is None
    assert first["up"]["attenuation"] < 20


def layer(**changes):
    """A layer of the middle of T or R at 64 pixels."""
    spec = tiny.make_plan(resolution=64, channel_max=8, channel_base=512, margin=10)[6]
    return dataclasses.replace(spec, **changes)


def spectra_of(spec):
    """Its row of spectra, for waves of its input's band."""
    band, size = spec.in_band, tuple(n + spec.conv_kernel - 1 for n in spec.in_size)
    waves = fourier.sample_waves(jax.random.key(0), 16, 0.95 * band.cutoff)
    x = fourier.evaluate_waves(*(v[None] for v in waves), size, band.rate, band.cutoff)
    found = jax.jit(lambda x: layer_report.powers_of(spec, x, jnp.zeros(16)))(x)
    (row,) = layer_report.spectra([spec], [found])
    return row


def test_the_nonlinearity_makes_frequencies_and_the_filter_takes_them_out():
    for changes in ({}, {"radial": True}):
        spec = layer(**changes)
        row = spectra_of(spec)
        (found,) = layer_report.filter_bank([spec])
        assert row["created"] > 40
        # All of what was created and is further out is softer: at least by design.
        assert row["removed"] > found["down"]["designed"] - 2.5
        activated, out = row["activated"], row["out"]
        # Maps of an odd size have a sample next to Nyquist, not on it.
        assert activated["frequencies"][-1] == pytest.approx(
            spec.tmp_rate / 2, rel=0.01
        )
        assert out["frequencies"][-1] == spec.out_band.rate / 2
        assert max(out["level"]) > -10 > max(activated["level"][-20:]) > -60


@pytest.mark.parametrize("sabotage", ["nearest", "wide"])
def test_a_sabotaged_filter_takes_nothing_out(sabotage, monkeypatch):
    def wide(n, factor, band, rate, radial):
        return np.array([0.0, 1.0, 0.0])

    up, _ = lowpass.DESIGNS["kaiser"]
    down = {"nearest": lowpass.DESIGNS["none"][1], "wide": wide}[sabotage]
    monkeypatch.setitem(lowpass.DESIGNS, "sabotaged", (up, down))
    row = spectra_of(layer(lowpass="sabotaged"))
    assert row["removed"] == pytest.approx(0, abs=0.1)
    (found,) = layer_report.filter_bank([layer(lowpass="sabotaged")])
    assert found["down"] is None or found["down"]["attenuation"] < 1


def test_waves_lie_in_their_disc_and_are_sines():
    G = tiny.make_generator(
        resolution=16, z_dim=8, w_dim=8, num_layers=4, channel_max=8, margin=4
    )
    drawn = fourier.sample_waves(jax.random.key(0), 8, 2.0)
    weight = np.arange(64.0).reshape(8, 8)
    variables = {
        "buffers": {"synthesis": {"input": dict(zip(("freqs", "phases"), drawn))}},
        "params": {"synthesis": {"input": {"weight": weight}}},
    }
    found = layer_report.waves(G, variables)
    frequencies = np.array(found["frequencies"])
    assert found["cutoff"] == 2 and found["rate"] == 16
    assert (np.hypot(*frequencies.T) < 2).all() and np.hypot(*frequencies.T).max() > 1
    np.testing.assert_allclose(found["use"], np.linalg.norm(weight, axis=1) / 8**0.5)
    plain = feature_maps.plain_waves(G, variables)
    assert plain.shape == (24, 24, 8)
    y, x = (np.array([3, 20]) + 0.5 - 12) / 16
    cycles = frequencies @ np.array([x, y]) + np.array(found["phases"])
    np.testing.assert_allclose(plain[3, 20], np.sin(2 * np.pi * cycles), atol=1e-5)


def test_a_map_is_summed_up_by_channel():
    values = np.stack([np.full((4, 6), -2.0), np.full((4, 6), 1.0)], axis=-1)
    found = layer_report.feature_map("L1", 4.0, (2.0, 4.0), values, [0, 7])
    assert found["size"] == [4, 6] and found["canvas"] == [2, 4]
    assert found["channels"] == [0, 7]
    assert found["min_by_channel"] == [-2, 1] and found["rms_by_channel"] == [2, 1]
    assert found["rms"] == pytest.approx(2.5**0.5)
