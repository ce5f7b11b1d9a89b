"""Statistics over groups of samples, against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.networks import minibatch_stddev


@pytest.mark.parametrize("layout", ["contiguous", "interleaved"])
def test_minibatch_stddev_is_that_of_each_group(layout):
    """Two groups of three, one with equal members: its statistic is 0."""
    x = np.zeros((6, 2, 2, 4), np.float32)
    group = [3, 4, 5] if layout == "contiguous" else [1, 3, 5]
    x[group, ..., 2:] = np.array([1, 3, 5])[:, None, None, None]  # variance 8/3
    y = np.asarray(minibatch_stddev.minibatch_stddev(jnp.asarray(x), 3, 2, layout))
    np.testing.assert_array_equal(y[..., :4], x)
    others = [n for n in range(6) if n not in group]
    expected = np.tile([0.0, np.sqrt(8 / 3)], (3, 2, 2, 1))
    # 1e-4 is the root of the 1e-8 under the square root.
    np.testing.assert_allclose(y[group][..., 4:], expected, atol=2e-4)
    np.testing.assert_allclose(y[others][..., 4:], 0, atol=2e-4)


def test_minibatch_stddev_of_all_samples_is_numpys():
    x = np.random.default_rng(0).normal(size=(6, 3, 4, 5)).astype(np.float32)
    expected = x.std(axis=0).mean()
    for size, n in ((None, 6), (8, 6), (6, 6)):
        y = minibatch_stddev.minibatch_stddev(jnp.asarray(x[:n]), size)
        np.testing.assert_allclose(y[..., 5], expected, rtol=1e-5)


def test_minibatch_stddev_refuses_a_part_of_a_group():
    with pytest.raises(ValueError, match="batch of 6 .* mbstd_group_size=4"):
        minibatch_stddev.minibatch_stddev(jnp.zeros((6, 4, 4, 3)), 4)
