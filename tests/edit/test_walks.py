"""Claims about edit.walks."""

import numpy as np
import pytest

from afgan_jax.edit import walks

KEYS = np.random.default_rng(0).normal(size=(4, 3, 2))
H = 1e-5


def slope(walk, time):
    return (walk(np.array([time + H])) - walk(np.array([time - H]))) / (2 * H)


@pytest.mark.parametrize("make", [walks.spline, walks.linear])
@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_walks_pass_their_keyframes_in_time(make, loop, count):
    keys = KEYS[:count]
    times = walks.knots(count, loop)
    last = (count - 1) / count if loop else float(count > 1)
    np.testing.assert_allclose(times[[0, -1]], [0, last])
    walk = make(keys, loop=loop)
    np.testing.assert_allclose(walk(times), keys, atol=1e-12)
    ends = walk(np.array([0.0, 1.0]))
    np.testing.assert_allclose(ends[1], ends[0] if loop else keys[-1], atol=1e-12)
    other = make(keys, loop=loop, at=(0.7 * times).tolist())
    np.testing.assert_allclose(other(times * 0.7), keys, atol=1e-12)


def test_a_looped_spline_is_smooth_where_it_closes():
    walk = walks.spline(KEYS, loop=True)
    before, after = slope(walk, 1 - 2 * H), slope(walk, 2 * H)
    np.testing.assert_allclose(before, after, atol=1e-2)
    assert np.abs(before).max() > 1


def test_slerp_stays_on_the_sphere_at_even_speed():
    z = np.array([[3.0, 0, 0], [0, 3, 0], [0, 0, 5]])
    walk = walks.slerp(z, loop=False)
    found = walk(np.linspace(0, 1, 9))
    np.testing.assert_allclose(found[[0, 4, 8]], z, atol=1e-9)
    lengths = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(lengths, [3] * 5 + [3.5, 4, 4.5, 5])
    units = found / lengths[:, None]
    angles = np.arccos(np.sum(units[1:] * units[:-1], axis=1))
    np.testing.assert_allclose(angles, np.pi / 8)


def test_slerp_between_the_same_latents_stands_still():
    z = np.ones((2, 5))
    found = walks.slerp(z, loop=True)(np.linspace(0, 1, 7))
    np.testing.assert_allclose(found, np.ones((7, 5)))


@pytest.mark.parametrize("harmonics", [1, 4])
def test_noise_is_a_loop_of_latents_as_likely_as_any(harmonics):
    times = np.linspace(0, 1, 50)
    found = np.stack([walks.noise(s, 16, harmonics)(times) for s in range(300)])
    np.testing.assert_allclose(found[:, 0], found[:, -1], atol=1e-9)
    assert abs(found.mean()) < 0.02 and abs(found.std() - 1) < 0.02
    assert np.abs(found.std(axis=(0, 2)) - 1).max() < 0.05  # at every time


def test_easings_lead_from_one_keyframe_to_the_next():
    for name, ease in walks.EASINGS.items():
        x = ease(np.linspace(0, 1, 101))
        assert x[0] == 0 and x[-1] == 1 and (np.diff(x) >= 0).all(), name
    keys = np.array([0.0, 1, 2])
    walk = walks.linear(keys, loop=False, easings=["hold", "in", None])
    np.testing.assert_allclose(walk(np.array([0.25, 0.49, 0.5, 0.75])), [0, 0, 1, 1.25])
