"""Images on the plane beside waves that are known everywhere."""

import math

import numpy as np
import pytest

from afgan_jax.analysis import plane


def waves(size: int, right: float = 0.0, angle: float = 0.0, cycles=(0.05, 0.3)):
    """[1 size size 1] around the middle of a plane of waves that moves.

    cycles: the slowest and the fastest wave's, a pixel.
    """
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*2 * [np.arange(size) - (size - 1) / 2], indexing="ij")
    x = x - right
    x, y = (
        math.cos(angle) * x - math.sin(angle) * y,
        math.sin(angle) * x + math.cos(angle) * y,
    )
    headings, phases = rng.uniform(0, 2 * np.pi, (2, 6))
    rates = rng.uniform(*cycles, 6)
    along = np.multiply.outer(x, np.cos(headings))
    along = along + np.multiply.outer(y, np.sin(headings))
    return np.sin(2 * np.pi * rates * along + phases).sum(axis=-1)[None, :, :, None]


@pytest.mark.slow
def test_images_move_without_loss():
    """As waves do: to a thousandth of their power; more is the filter's ripple."""
    images = plane.Images(waves(96).astype(np.float32))
    for motion in ((0.0, 0.0), (0.37, 0.0), (0.0, 0.6), (-2.5, -0.1)):
        for size in (48, 47):
            expected = waves(size, *motion)
            found = images.seen(size, *motion)
            assert np.mean((found - expected) ** 2) < 1e-3 * np.var(expected)
            still = images.seen(size)
            assert not any(motion) or np.mean((found - still) ** 2) > 1e-2


@pytest.fixture(scope="module")
def images():
    return plane.Images(waves(128).astype(np.float32))


SIZES = {"size": 64, "inner": 32}


def test_a_pointwise_gain_follows_and_a_mask_of_pixels_does_not(images):
    """The mask, which stays, is moved by its half period: off by all of its power."""
    assert plane.decibels(lambda x: 3 * x, images, **SIZES) > 30
    mask = np.indices((64, 64)).sum(axis=0)[None, :, :, None] // 4 % 2
    assert plane.decibels(lambda x: x * mask, images, right=4.0, **SIZES) < 0


@pytest.mark.parametrize("cycles, follows", [((0.05, 0.2), True), ((0.3, 0.35), False)])
def test_a_coarser_output_is_moved_at_its_own_rate(cycles, follows):
    """Every second pixel: it has waves of up to a quarter of a cycle a pixel."""
    images = plane.Images(waves(128, cycles=cycles).astype(np.float32))
    found = plane.decibels(lambda x: x[:, ::2, ::2], images, right=1.0, **SIZES)
    assert found > 50 if follows else found < 10


def test_what_does_not_depend_on_the_image_follows_exactly(images):
    assert plane.decibels(np.zeros_like, images, **SIZES) == math.inf
