"""Claims about texture sticking: textures that follow, that stick, and mixtures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from afgan_jax import model as models
from afgan_jax.analysis import sticking

R = 48
AXIS = (np.arange(R) + 0.5) / R - 0.5


def waves(seed, low, high, count=40):
    """A function of (x, y) [R R 1]: plane waves of low .. high cycles per width."""
    rng = np.random.default_rng(seed)
    angle, phase = 2 * np.pi * rng.random([2, count])
    radius = rng.uniform(low, high, count)

    def evaluate(transform):
        x, y = np.meshgrid(AXIS, AXIS)
        points = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.asarray(transform).T
        along = points[..., :1] * np.cos(angle) + points[..., 1:2] * np.sin(angle)
        waves = np.sin(2 * np.pi * radius * along + phase)
        return waves.sum(axis=-1, keepdims=True) / np.sqrt(count / 2)

    return evaluate


def score(*, moving, stuck, reach=6, seeds=range(6)):
    def render(seed, transform):
        image = moving * waves(seed, 2, 0.4 * R)(transform)
        return (image + stuck * waves(seed + 100, 2, 0.4 * R)(np.eye(3)))[None]

    return sticking.measure(render, seeds, resolution=R, reach=reach).score


def test_a_texture_that_follows_scores_0_and_a_stuck_one_1():
    # Motions are float32, whole pixels, and band-limited textures follow exactly.
    assert score(moving=1, stuck=0) < 1e-5
    assert score(moving=0, stuck=1) > 1 - 1e-5


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_mixture_scores_the_share_of_its_power_that_is_stuck(share):
    found = score(moving=np.sqrt(1 - share), stuck=np.sqrt(share))
    assert found == pytest.approx(share, abs=0.05)  # chance of 6 images


def test_noise_at_fixed_pixels_over_a_soft_moving_image_is_stuck():
    noise = np.random.default_rng(0).standard_normal([R, R, 1])

    def render(_, transform):
        return (20 * waves(0, 0.5, 1.5)(transform) + noise)[None]

    # The image has 400 times the noise's power, and little of it is detail.
    assert sticking.measure(render, [0], resolution=R, reach=6).score > 0.95


def test_moving_against_the_input_neither_stays_nor_follows():
    def render(seed, transform):
        return waves(seed, 2, 0.4 * R)(np.linalg.inv(transform))[None]

    found = sticking.measure(render, range(6), resolution=R, reach=6)
    assert found.stays < 0.15 and found.follows < 0.1  # what is left is chance


@pytest.mark.slow
def test_an_untrained_generator_sticks_without_its_filters():
    settings = {"resolution": 32, "z_dim": 8, "w_dim": 8, "num_layers": 6}
    settings |= {"channel_base": 512, "channel_max": 16}
    found = {}
    for lowpass in ("kaiser", "none"):
        G = tiny.make_generator(**settings, lowpass=lowpass)
        variables = jax.jit(G.initialize)(jax.random.key(0))
        draw = jax.jit(lambda v, z, t, G=G: G.apply(v, z, transform=t))

        def render(z, transform, draw=draw, variables=variables):
            return draw(variables, z, transform)

        z = jax.random.normal(jax.random.key(1), (4, 8))
        found[lowpass] = sticking.measure(render, [z], resolution=32, reach=4)
    # Measured: follows 1.00, stays 1e-6 with the filters; follows 0.17, stays 0.33.
    assert found["kaiser"].score < 0.001
    assert found["kaiser"].follows == pytest.approx(1, abs=0.01)
    assert found["none"].score > 0.4


@pytest.mark.slow
def test_a_film_is_a_row_that_follows_the_motion():
    settings = {"resolution": 32, "z_dim": 8, "w_dim": 8, "num_layers": 6}
    model = models.untrained(
        tiny.sections(**settings, channel_base=512, channel_max=16)
    )
    options = {"frames": 5, "pace": 2.0, "batch": 2}
    whole = sticking.film(model, row=9, **options)
    hair = whole.lines["the input moves"]
    assert list(whole.lines) == ["the input moves"] and hair.shape == (5, 32, 3)
    for t in range(1, 5):  # float32, and what an untrained network lets through
        difference = hair[t, 2 * t :] - hair[0, : 32 - 2 * t]
        assert np.std(difference) < 0.02 * np.std(hair)
    found = sticking.film(model, row=9, drift=1.0, pace=0.0, frames=3)
    still, drifting = found.lines.values()
    np.testing.assert_allclose(still, np.broadcast_to(still[:1], still.shape))
    other = sticking.film(model, image=1, row=9, frames=2, pace=0.0).lines
    np.testing.assert_allclose(drifting[0], still[0], atol=1e-5)
    np.testing.assert_allclose(drifting[2], other["the input moves"][0], atol=1e-5)


def test_the_most_detailed_row_has_most_detail_along_it():
    image = np.zeros([32, 16, 1])
    image[2, ::2] = 9  # too near the border
    image[17, ::2] = 1
    image[20] = 5  # flat
    assert sticking.most_detailed_row(image) == 17


def test_too_far_or_flat_is_refused():
    flat = jnp.ones([1, 8, 12, 1])
    with pytest.raises(
        ValueError, match="reach=4 leaves no column.*: use 1 to 3 pixels"
    ):
        sticking.powers(lambda u: flat, reach=4)
    with pytest.raises(ValueError, match="no detail along their rows"):
        sticking.shares(sticking.powers(lambda u: flat, reach=2))
