"""Claims about signal.affine, against the published matrices written out."""

import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.signal import affine


def test_matrices_are_the_written_out_ones():
    c, s = np.cos(0.3), np.sin(0.3)
    np.testing.assert_allclose(
        affine.rotation(0.3), [[c, -s, 0], [s, c, 0], [0, 0, 1]], atol=1e-7
    )
    np.testing.assert_array_equal(
        affine.translation(2.0, 3.0), [[1, 0, 2], [0, 1, 3], [0, 0, 1]]
    )
    np.testing.assert_array_equal(
        affine.scaling(2.0, 3.0), [[2, 0, 0], [0, 3, 0], [0, 0, 1]]
    )


def test_arguments_broadcast_to_a_batch_of_matrices():
    m = affine.translation(jnp.arange(4.0), jnp.ones([2, 1]))
    assert m.shape == (2, 4, 3, 3)
    np.testing.assert_array_equal(m[1, 3], affine.translation(3, 1))


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.5), jnp.float32(0.5)])
def test_numbers_become_float32_matrices(value):
    assert affine.rotation(value).dtype == jnp.float32
    assert affine.translation(value, value).dtype == jnp.float32


def test_composition_applies_the_last_matrix_first():
    moved = affine.compose(affine.scaling(2, 2), affine.translation(1, 0))
    np.testing.assert_array_equal(moved @ np.array([1.0, 1.0, 1.0]), [4, 2, 1])


def test_user_transform_inverts_the_published_motion():
    theta, tx, ty = 0.7, 0.2, -0.1
    c, s = np.cos(theta), np.sin(theta)
    motion = np.array([[c, s, tx], [-s, c, ty], [0, 0, 1]])
    np.testing.assert_allclose(
        affine.user_transform(theta, tx, ty), np.linalg.inv(motion), atol=1e-7
    )
