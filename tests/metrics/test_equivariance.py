"""Claims about metrics.equivariance: ideal and broken renders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.metrics import equivariance

R = 48
SETTING = dict(num_samples=10, batch_size=4, seed=0, resolution=R)


@jax.jit
def ideal(key, transform):
    """[4 R R 2]: plane waves of up to 0.1 cycles a pixel, at transform @ p."""
    angle, phase = 2 * jnp.pi * jax.random.uniform(key, [2, 4, 8, 2])
    freq = 0.1 * R * jnp.sqrt(jax.random.uniform(jax.random.fold_in(key, 1), [4, 8, 2]))
    axis = (jnp.arange(R) + 0.5) / R - 0.5
    x, y = jnp.meshgrid(axis, axis)
    points = jnp.stack([x, y, jnp.ones_like(x)], axis=-1) @ transform.T
    x, y = points[None, ..., None, None, 0], points[None, ..., None, None, 1]
    angle, phase, freq = (v[:, None, None] for v in (angle, phase, freq))
    cycles = freq * (jnp.cos(angle) * x + jnp.sin(angle) * y)
    return jnp.sin(2 * jnp.pi * cycles + phase).mean(axis=-2)


def unmoved(key, transform):
    return ideal(key, jnp.eye(3))


def backwards(key, transform):
    return ideal(key, jnp.linalg.inv(transform))


def test_an_equivariant_render_scores_high():
    db = equivariance.measure(ideal, **SETTING)
    # Measured: 146, 65, 76. Whole-pixel shifts are limited by float32 alone, the others
    # by the reference interpolation.
    assert db["eqt_int"] > 120
    assert db["eqt_frac"] > 60
    assert db["eqr"] > 65


@pytest.mark.parametrize("render", [unmoved, backwards])
def test_a_render_that_stays_or_moves_the_wrong_way_scores_low(render):
    db = equivariance.measure(render, **SETTING)
    assert set(db) == set(equivariance.KINDS)
    assert max(db.values()) < 20


def test_score_is_the_pooled_ratio():
    sums = np.array([[1.0, 100.0], [3.0, 300.0]])
    assert equivariance.psnr(sums) == pytest.approx(10 * np.log10(4 / (4 / 400)))


def test_a_uniform_error_of_one_hundredth_of_the_range_scores_40_db():
    zeros = np.zeros([2, R, R, 3], np.float32)
    for errors, amount in (
        (equivariance.integer_shift_errors, (0.1, -0.1)),
        (equivariance.fractional_shift_errors, (0.1, -0.1)),
        (equivariance.rotation_errors, 0.7),
    ):
        sums = np.stack(errors(zeros, zeros + 0.02, amount), axis=1)
        # 1e-3: float32 filters.
        assert equivariance.psnr(sums) == pytest.approx(40, abs=1e-3)


def test_samples_past_the_number_asked_for_do_not_count():
    amounts = equivariance.draw_amounts(3, seed=0, resolution=R, kinds=["eqt_frac"])
    keys = jax.random.split(jax.random.key(0), 3)
    sums = equivariance.sample_errors(unmoved, keys, amounts)["eqt_frac"]
    db = equivariance.measure(unmoved, **SETTING, kinds=["eqt_frac"])
    assert sums.shape == (12, 2)
    assert db == {"eqt_frac": equivariance.psnr(sums[:10])}


def test_a_kind_scores_the_same_whichever_others_are_asked():
    everything = equivariance.measure(unmoved, **SETTING)
    alone = equivariance.measure(unmoved, **SETTING, kinds=["eqr"])
    assert alone["eqr"] == everything["eqr"]


def test_integer_shifts_are_whole_pixels_within_an_eighth():
    kinds = ["eqt_int"]
    t = equivariance.draw_amounts(200, seed=1, resolution=R, kinds=kinds)["eqt_int"]
    pixels = np.array(t) * R
    np.testing.assert_allclose(pixels, np.rint(pixels), atol=1e-12)
    assert np.abs(pixels).max() == R // 8


def test_turns_are_of_any_angle():
    kinds = ["eqr"]
    drawn = equivariance.draw_amounts(200, seed=1, resolution=R, kinds=kinds)["eqr"]
    assert np.ptp(drawn) > 1.95 * np.pi and np.abs(drawn).max() <= np.pi


def test_interval_holds_the_score_and_tightens_with_samples():
    rng = np.random.default_rng(0)
    sums = np.stack([rng.exponential(size=400), np.full(400, 50.0)], axis=1)
    widths = []
    for n in (40, 400):
        low, high = equivariance.confidence_interval(sums[:n], batch_size=4)
        assert low < equivariance.psnr(sums[:n]) < high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]


def test_unknown_kinds_and_tiny_images_are_refused():
    with pytest.raises(ValueError, match="'eqx' is unknown"):
        equivariance.measure(ideal, **SETTING, kinds=["eqx"])
    tiny = dict(num_samples=2, batch_size=2, seed=0, resolution=8)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        equivariance.measure(lambda *_: jnp.ones([2, 8, 8, 3]), **tiny)
