"""Claims about metrics.equivariance: ideal and broken renders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.metrics import equivariance

R = 48
KINDS = tuple(equivariance.KINDS)
SETTING = dict(num_samples=10, batch_size=4, seed=0, resolution=R)


@jax.jit
@jax.vmap
def ideal(number, transform):
    """[R R 2] of each: plane waves of up to 0.1 cycles a pixel, at transform @ p."""
    key = jax.random.key(number)
    angle, phase = 2 * jnp.pi * jax.random.uniform(key, [2, 8, 2])
    freq = 0.1 * R * jnp.sqrt(jax.random.uniform(jax.random.fold_in(key, 1), [8, 2]))
    axis = (jnp.arange(R) + 0.5) / R - 0.5
    x, y = jnp.meshgrid(axis, axis)
    points = jnp.stack([x, y, jnp.ones_like(x)], axis=-1) @ transform.T
    x, y = points[..., None, None, 0], points[..., None, None, 1]
    cycles = freq * (jnp.cos(angle) * x + jnp.sin(angle) * y)
    return jnp.sin(2 * jnp.pi * cycles + phase).mean(axis=-2)


def unmoved(numbers, transforms):
    return ideal(numbers, jnp.broadcast_to(jnp.eye(3), transforms.shape))


def backwards(numbers, transforms):
    return ideal(numbers, jnp.linalg.inv(transforms))


def decibels(render, **options):
    sums = equivariance.measure(render, **SETTING | options)
    return {kind: equivariance.psnr(found) for kind, found in sums.items()}


def test_an_equivariant_render_scores_high():
    db = decibels(ideal)
    # Measured: 146, 65, 76. Whole-pixel shifts are limited only by float32, the others
    # by the reference interpolation.
    assert db["eqt_int"] > 120
    assert db["eqt_frac"] > 60
    assert db["eqr"] > 65


@pytest.mark.parametrize("render", [unmoved, backwards])
def test_a_render_that_stays_or_moves_the_wrong_way_scores_low(render):
    db = decibels(render)
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


@pytest.mark.parametrize("render", [ideal, unmoved])
def test_batch_count_and_other_kinds_leave_a_sample_as_it_is(render):
    whole = equivariance.measure(render, **SETTING)
    for batch, count, kinds in ((1, 3, ["eqr"]), (4, 7, ["eqt_frac"]), (8, 10, KINDS)):
        changes = {"batch_size": batch, "num_samples": count, "kinds": kinds}
        found = equivariance.measure(render, **SETTING | changes)
        assert list(found) == list(kinds)
        for kind, sums in found.items():
            assert sums.shape == (count, 2)
            # Errors of an ideal render are rounding, and so differ by their own size.
            tolerance = {"rtol": 1e-4, "atol": 1e-6}
            np.testing.assert_allclose(sums, whole[kind][:count], **tolerance)


def test_samples_move_each_by_an_amount_of_its_own():
    drawn = equivariance.amounts(50, seed=0, resolution=R, kinds=KINDS)
    assert len(set(drawn["eqr"])) == 50
    assert len({tuple(t) for t in drawn["eqt_frac"]}) == 50
    other = equivariance.amounts(50, seed=1, resolution=R, kinds=["eqr"])
    assert not set(drawn["eqr"]) & set(other["eqr"])
    # Shifts of whole pixels and of parts are different draws.
    moved = np.array(drawn["eqt_int"]) - drawn["eqt_frac"]
    assert np.abs(moved).max() * R > 1


def test_products_are_in_full_precision():
    def render(numbers, transforms):
        assert jax.config.jax_default_matmul_precision == "highest"
        return ideal(numbers, transforms)

    decibels(render, num_samples=1, batch_size=1)


def test_integer_shifts_are_whole_pixels_within_an_eighth():
    kinds = ["eqt_int"]
    t = equivariance.amounts(200, seed=1, resolution=R, kinds=kinds)["eqt_int"]
    pixels = np.array(t) * R
    np.testing.assert_allclose(pixels, np.rint(pixels), atol=1e-12)
    assert np.abs(pixels).max() == R // 8


def test_turns_are_of_any_angle():
    kinds = ["eqr"]
    drawn = equivariance.amounts(200, seed=1, resolution=R, kinds=kinds)["eqr"]
    assert np.ptp(drawn) > 1.95 * np.pi and np.abs(drawn).max() <= np.pi


def test_interval_holds_the_score_and_tightens_with_samples():
    rng = np.random.default_rng(0)
    sums = np.stack([rng.exponential(size=400), np.full(400, 50.0)], axis=1)
    widths = []
    for n in (40, 400):
        low, high = equivariance.confidence_interval(sums[:n])
        assert low < equivariance.psnr(sums[:n]) < high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]


def test_unknown_kinds_and_tiny_images_are_refused():
    with pytest.raises(ValueError, match="'eqx' is unknown"):
        equivariance.measure(ideal, **SETTING, kinds=["eqx"])
    tiny = dict(num_samples=2, batch_size=2, seed=0, resolution=8)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        decibels(lambda *_: jnp.ones([2, 8, 8, 3]), **tiny)
