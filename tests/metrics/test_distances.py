"""What recorded distances leave open: settings of the published metrics, and ties."""

import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.metrics import inception_score, kernel, path_length, precision_recall


def test_settings_are_the_published_ones():
    assert (kernel.SUBSETS, kernel.MAX_SUBSET) == (100, 1000)
    assert precision_recall.NEIGHBOURS == 3
    assert inception_score.SPLITS == 10
    assert (path_length.EPSILON, path_length.LARGEST) == (1e-4, 256)


def test_a_point_at_the_radius_is_within():
    real = np.array([[0.0], [1.0], [4.0]])  # nearest others at 1, 1 and 3
    for at, inside in ((2.0, 1), (1.0, 1), (-1.0, 1), (-1.25, 0), (7.0, 1), (7.25, 0)):
        fake = np.array([[at], [at]])
        precision, _ = precision_recall.precision_recall(real, fake, k=1)
        assert precision == inside, at


def test_features_are_rounded_to_float16_before_they_are_compared():
    real = np.array([[0.0], [2048.0]])
    fake = np.array([[4097.0], [4097.0]])  # 4096: at the radius, no more beyond
    precision, _ = precision_recall.precision_recall(real, fake, k=1)
    assert precision == 1


def test_part_of_a_score_is_of_neighbouring_images():
    """Two halves, each of one sure class: no variety in a half, all of it between."""
    sure = np.repeat(np.eye(2), 3, axis=0)
    assert inception_score.score(sure, splits=2) == pytest.approx((1, 0))
    assert inception_score.score(sure, splits=1) == pytest.approx((2, 0))


def path_of(synthesize, embed, t=0.25, epsilon=0.01):
    """The distance of one pair from w = (1, 0) to (3, 2), at t."""
    z0, z1 = jnp.array([[1.0, 0.0]]), jnp.array([[3.0, 2.0]])
    start = jnp.array([t])
    found = path_length.distances(
        *(lambda z, c: z[:, None], synthesize, embed, z0, z1, jnp.zeros((1, 0)), start),
        epsilon=epsilon,
    )
    return float(found[0])


def test_a_path_leads_from_the_first_latent_to_the_second():
    def squares(ws):
        return (ws[:, 0, :1] ** 2)[:, None, None]

    # w = 1 + 2 s, from s = 0.25 on: w^2 changes by (1.52 - 1.5) (1.52 + 1.5).
    grown = 127.5 * 0.02 * 3.02
    found = path_of(squares, lambda images: images.reshape(len(images), -1)[:, :1])
    assert found == pytest.approx((grown / 0.01) ** 2, rel=1e-3)  # float32


@pytest.mark.parametrize(
    "size, seen", [(255, 255), (256, 256), (511, 511), (512, 256), (1024, 256)]
)
def test_large_images_are_compared_at_256_pixels(size, seen):
    def embed(images):
        assert images.shape == (2, seen, seen, 3)  # grey is repeated
        return images[:, 0, 0]

    assert path_of(lambda ws: jnp.zeros((2, size, size, 1)), embed) == 0
