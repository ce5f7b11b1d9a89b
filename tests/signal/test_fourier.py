"""Waves against the sine that defines them, and how they move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.signal import affine, fourier


def waves(channels=5, bandwidth=2.0):
    return fourier.sample_waves(jax.random.key(0), channels, bandwidth)


def direct(freqs, phases, size, rate, bandwidth, matrix):
    """amplitude * sin(2 pi (f . p + phase)) with p = matrix @ pixel centre, float64."""
    freqs, phases = (np.asarray(a, np.float64) for a in (freqs, phases))
    y, x = ((np.arange(n) + 0.5 - n / 2) / rate for n in size)
    points = np.stack([*np.meshgrid(x, y), np.ones(size)], axis=-1)  # [H W 3]
    moved = points @ np.asarray(matrix, np.float64).T
    cycles = moved[..., :2] @ freqs.T + phases
    norms = np.linalg.norm(freqs @ np.asarray(matrix)[:2, :2], axis=-1)
    fade = np.clip((norms - bandwidth) / (rate / 2 - bandwidth), 0, 1)
    return (1 - fade) * np.sin(2 * np.pi * cycles)


MOTIONS = {
    "identity": np.eye(3),
    "shift": affine.translation(0.3, -0.2),
    "turn": affine.rotation(0.7),
    "turn_and_shift": affine.user_transform(0.7, 0.3, -0.2),
    "stretch": affine.scaling(1.7, 0.6),
    "beyond_nyquist": affine.scaling(4.0, 4.0),
}


@pytest.mark.parametrize("matrix", MOTIONS.values(), ids=MOTIONS)
@pytest.mark.parametrize("size", [(12, 12), (9, 14)], ids=str)
def test_transformed_waves_are_the_waves_at_transformed_points(matrix, size):
    freqs, phases = waves()
    matrix = jnp.asarray(matrix, jnp.float32)[None]
    moved = fourier.transform_waves(freqs, phases, matrix)
    y = fourier.evaluate_waves(*moved, size, 8.0, 2.0)
    expected = direct(freqs, phases, size, 8.0, 2.0, matrix[0])
    # Some ten cycles, each rounded to 1e-7, times 2 pi.
    np.testing.assert_allclose(y[0], expected, rtol=0, atol=1e-5)


def test_waves_beyond_nyquist_are_silent():
    freqs, phases = jnp.array([[[4.1, 0.0], [0.0, 2.9], [1.9, 0.0]]]), jnp.zeros((1, 3))
    y = fourier.evaluate_waves(freqs, phases, (16, 16), 8.0, 2.0)
    loudest = np.abs(y).max(axis=(0, 1, 2))
    assert loudest[0] == 0 and 0.4 < loudest[1] < 0.56 and loudest[2] > 0.9


def test_frequencies_are_uniform_in_the_disc_and_phases_in_a_cycle():
    """Kolmogorov's distance of 20000 draws stays below 0.0138 in 999 of 1000 cases."""
    freqs, phases = fourier.sample_waves(jax.random.key(1), 20_000, 2.0)
    radius = np.hypot(*freqs.T)
    assert radius.max() < 2
    angle = np.arctan2(freqs[:, 1], freqs[:, 0]) / (2 * np.pi) + 0.5
    for values in ((radius / 2) ** 2, angle, np.asarray(phases) + 0.5):
        assert distance_to_uniform(values) < 0.0138
    assert abs(np.corrcoef(radius, angle)[0, 1]) < 0.025


def distance_to_uniform(values):
    """Largest gap between the distribution of values and the uniform one on [0, 1]."""
    values = np.sort(values)
    return np.abs(values - (np.arange(values.size) + 0.5) / values.size).max()


def test_other_keys_draw_other_waves():
    one, other = (fourier.sample_waves(jax.random.key(k), 4, 2.0)[0] for k in (0, 1))
    assert np.abs(one - other).min() > 1e-3
