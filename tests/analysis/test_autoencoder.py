"""The comparison of two autoencoders, on few images and steps."""

import jax
import numpy as np
import pytest
from PIL import Image

from afgan_jax import errors
from afgan_jax.analysis import autoencoder, following


def tiles(count: int) -> np.ndarray:
    """[count 128 128 3] bytes, smooth."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)
    images = [
        np.asarray(Image.fromarray(a).resize((128, 128), Image.Resampling.BICUBIC))
        for a in coarse
    ]
    return np.stack(images)


@pytest.mark.slow
def test_two_networks_are_compared():
    kinds = following.MOVES.items()
    moves = {kind: m._replace(amounts=m.amounts[:2]) for kind, m in kinds}
    told = []
    found = autoencoder.compare(
        *(tiles(20), 3),
        **{"held": 4, "gap": 2, "moves": moves},
        report=lambda *values: told.append(values),
    )
    assert [values[:2] for values in told] == [("strided", 3), ("alias-free", 3)]
    assert {net.parameters for net in found.trained.values()} == {21877}
    strided, alias_free = (found.following.rows[n] for n in ("strided", "alias-free"))
    for kind in moves:
        for quantity in following.QUANTITIES:
            numbers = strided[kind][quantity], alias_free[kind][quantity]
            assert np.shape(numbers) == (2, 2) and np.isfinite(numbers).all()
        assert strided[kind]["following"][1] > 2 * alias_free[kind]["following"][1]
    assert found.table().count("21877 parameters") == 2
    assert len(found.table().splitlines()) == 2 + 2 + 4
    # 9 rows of 4 images of 40 pixels, twice as large, with captions and gaps.
    assert found.strip().shape == (9 * (14 + 2 + 80 + 2), 4 * 82, 3)


@pytest.mark.slow
def test_training_restores_images_and_repeats_exactly():
    images = tiles(8)
    losses = []
    nets = [
        autoencoder.train(
            *(autoencoder.Autoencoder(None), images, 20, 2e-3),
            lambda step, loss: losses.append(loss),
        )
        for _ in range(2)
    ]
    start = autoencoder.train(autoencoder.Autoencoder(None), images, 1, 2e-3)
    still = images[:2, :64, :64].astype(np.float32) / 127.5 - 1
    before, after, again = (np.asarray(n.run(still)) for n in (start, *nets))
    assert np.mean((after - still) ** 2) < np.mean((before - still) ** 2) / 2
    assert (after == again).all() and losses[0] == losses[1]


def test_networks_have_the_same_parameters():
    x = np.zeros((1, 16, 16, 3), np.float32)
    nets = map(autoencoder.Autoencoder, autoencoder.NETWORKS.values())
    key = jax.random.key(0)
    one, other = (jax.eval_shape(net.init_with_output, key, x) for net in nets)
    assert one == other and one[0].shape == x.shape


def test_tiles_of_which_none_is_left_are_refused():
    with pytest.raises(errors.SettingError, match="gap=10.*none of 20 tiles"):
        autoencoder.compare(np.zeros((20, 128, 128, 3), np.uint8), 1, held=4, gap=10)
