"""How logits depend on shifts: against formulas."""

import numpy as np
import pytest

from afgan_jax.analysis import discriminator

SHIFTS = discriminator.grid_of_shifts(4)
RNG = np.random.default_rng(0)


def test_shifts_are_even_and_centred():
    assert SHIFTS.shape == (16, 2)
    np.testing.assert_allclose(SHIFTS.mean(axis=0), 0, atol=1e-15)
    steps = [-0.375, -0.125, 0.125, 0.375]
    np.testing.assert_allclose(np.unique(SHIFTS[:, 0]), steps)
    np.testing.assert_allclose(
        discriminator.grid_of_shifts(2, reach=1.0)[0], [-0.5, -0.5]
    )


def test_spreads_are_told_apart():
    """An image's own value, a slope of its own, and a sign that turns with the grid."""
    own, slopes = RNG.normal(size=6), RNG.normal(size=(2, 6))
    turning = np.sign(SHIFTS[:, 0] * SHIFTS[:, 1])
    logits = own + SHIFTS @ slopes + 0.3 * turning[:, None]
    found = discriminator.spreads(logits, SHIFTS)
    assert found.among == pytest.approx(own.std())
    assert found.kink == pytest.approx(0.3)
    even = np.sqrt(np.mean((SHIFTS @ slopes) ** 2))
    assert found.moving == pytest.approx(np.hypot(even, 0.3))


def test_a_discriminator_sees_images_moved_right_and_down():
    x = np.arange(32)
    wave = np.cos(np.pi * 3 * (x + 0.5) / 32)  # continues when mirrored
    images = np.ones([2, 32, 32, 1]) * wave[:, None, None]  # downwards
    images[1] = wave[:, None]  # to the right

    def formula(images, labels):
        return labels * np.asarray(images)[:, 12, 12, 0]

    found = discriminator.logits(formula, images.astype("f4"), np.array([1, 2]), SHIFTS)
    at = np.cos(np.pi * 3 * (12.5 - SHIFTS) / 32)
    expected = np.stack([at[:, 1], 2 * at[:, 0]], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    batches = [(images.astype("f4"), np.ones(2))] * 2
    both = discriminator.shift_consistency(formula, batches, shifts=4)
    assert 0 < both.kink < 0.1 * both.moving  # a cosine is nearly straight so close


def test_too_little_to_measure_is_refused():
    with pytest.raises(ValueError, match="16 shifts of 1 images are too few"):
        discriminator.spreads(np.zeros([16, 1]), SHIFTS)
