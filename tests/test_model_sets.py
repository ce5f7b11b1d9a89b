"""The images that a discriminator is measured on."""

import numpy as np
import pytest

from afgan_jax.assembly import model_sets

SET = [(np.full((2, 2, 1), i, np.uint8), np.float32([i])) for i in range(13)]


@pytest.mark.parametrize(
    ("images", "group", "sizes"),
    [
        (13, 4, [8]),  # whole batches
        (8, 4, [8]),
        (7, 4, [4]),  # whole groups
        (7, None, [7]),
        (3, 4, [3]),
        (1, 4, [1]),
    ],
)
def test_of_a_small_set_all_whole_batches_are_taken(images, group, sizes):
    found = model_sets.spread_over(SET[:images], 64, 8, group)
    assert [len(batch) for batch, _ in found] == sizes
    assert all(batch.shape[1:] == (2, 2, 1) for batch, _ in found)


def test_images_are_spread_evenly_over_the_set():
    found = model_sets.spread_over(SET, 4, 2, 2)
    labels = np.concatenate([labels for _, labels in found])
    np.testing.assert_array_equal(labels[:, 0], [0, 4, 8, 12])
