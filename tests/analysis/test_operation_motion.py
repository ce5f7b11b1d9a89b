"""Claims about single operations in motion, most with a known answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.analysis import operation_motion
from afgan_jax.signal import affine, bandlimit, convolve

DESIGN = bandlimit.Design(cutoff=0.5, stopband=1.0)
TURNING = bandlimit.Design(cutoff=0.5, stopband=1.0, radial=True)
MOTIONS = list(operation_motion.MOTIONS)
SHIFTS = MOTIONS[:3]
EXACT = 90  # dB: what the filter of look-ups leaves beyond Nyquist


def least(function):
    return min(operation_motion.decibels(function).values())


def weights(kernel: int):
    shape = (kernel, kernel, operation_motion.CHANNELS, 3)
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def test_the_texture_has_unit_power_and_the_band_it_is_asked_for():
    x = np.asarray(operation_motion.texture(affine.user_transform(), 0.5), np.float64)
    assert x.std() == pytest.approx(1, abs=0.1)  # of 64 waves, at random
    window = np.kaiser(operation_motion.SIZE, 20)  # -150 dB beside its main lobe
    F = np.fft.fft2(x * np.outer(window, window)[..., None], axes=(1, 2))
    f = 2 * np.fft.fftfreq(operation_motion.SIZE)  # in units of Nyquist
    r = np.hypot(f[:, None], f)
    assert np.abs(F[0, r > 0.6]).max() < 1e-5 * np.abs(F).max()  # float32
    assert np.abs(F[0, (0.4 < r) & (r < 0.5)]).max() > 0.1 * np.abs(F).max()


def test_what_follows_every_motion_does_so_to_the_last_decibel():
    assert least(lambda x: x) > EXACT
    assert least(lambda x: convolve.conv(x, weights(1))) > EXACT


def test_a_map_that_changes_by_a_hundredth_per_motion_is_40_db():
    """The operation sees that its input moved by the value of a pixel."""
    still = operation_motion.texture(affine.user_transform())
    at = (0, 96, 96, 0)

    def louder(x):
        return x * jnp.where(jnp.abs(x[at] - still[at]) < 1e-4, 1, 1.01)

    found = operation_motion.decibels(louder)
    assert list(found.values()) == pytest.approx(
        [40] * len(MOTIONS), abs=1
    )  # mean not quite 0


def test_a_3x3_convolution_follows_shifts_only():
    found = operation_motion.decibels(lambda x: convolve.conv(x, weights(3), pad=1))
    assert min(found[name] for name in SHIFTS) > EXACT
    assert found["turned"] < 20


def test_a_bare_nonlinearity_follows_whole_pixels_only():
    found = operation_motion.decibels(jax.nn.relu)
    assert found["whole pixels"] > EXACT
    assert max(found[name] for name in MOTIONS[1:]) < 30
    assert least(lambda x: bandlimit.activate(x, jax.nn.relu, design=TURNING)) > 37


def test_half_pixels_hide_the_aliases_of_twice_the_rate():
    found = operation_motion.decibels(
        lambda x: bandlimit.activate(x, jax.nn.relu, design=DESIGN)
    )
    assert found["fractions"] < found["half pixels"] - 10


def test_dropping_pixels_breaks_every_motion_and_a_filter_mends_shifts():
    dropped = operation_motion.decibels(lambda x: x[:, 1::3, 1::3])
    assert max(dropped.values()) < 10
    found = operation_motion.decibels(lambda x: bandlimit.downsample(x, 3, DESIGN))
    assert min(found[name] for name in SHIFTS) > 50
    radial = operation_motion.decibels(lambda x: bandlimit.downsample(x, 3, TURNING))
    assert found["turned"] < 30 < 37 < radial["turned"]


def test_what_is_fixed_to_the_pixels_follows_nothing():
    size = operation_motion.SIZE
    drawn = np.random.default_rng(0).normal(size=(1, size, size, 1))
    pattern = jnp.asarray(drawn, jnp.float32)
    found = operation_motion.decibels(lambda x: 0.001 * x + pattern)
    # Uncorrelated before and after: the error has twice the power.
    assert list(found.values()) == pytest.approx([-3] * len(MOTIONS), abs=1)
    assert np.isnan(operation_motion.decibels(lambda x: 0 * x)["turned"])
