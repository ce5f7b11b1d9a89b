"""Images by number: their bytes, their noise, and what names a set of them."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metrics import test_evaluator

from afgan_jax.data import archive
from afgan_jax.metrics import samples
from afgan_jax.signal import pixels


def test_noise_is_drawn_for_each_image_and_is_its_own_in_any_batch():
    network = test_evaluator.noisy()
    found = network.draw(network.variables, np.arange(5), None)
    part = network.draw(network.variables, np.array([3, 1]), None)
    np.testing.assert_array_equal(part, found[np.array([3, 1])])
    flat = np.asarray(found).reshape(5, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(5)).max() < 5 / test_evaluator.R
    np.testing.assert_allclose(flat.std(axis=1), 1, atol=5 / test_evaluator.R)


def test_classes_are_drawn_as_their_one_hot_vectors_are():
    G = types.SimpleNamespace(mapping=types.SimpleNamespace(c_dim=3, z_dim=2))
    G.synthesis = test_evaluator.Noisy.synthesis
    classes, numbers, key = np.array([2, 0, 2, 2]), np.arange(9), jax.random.key(0)
    drawn = samples.of_generator(G, {}, classes, key)
    expected = samples.of_generator(G, {}, np.eye(3, dtype="f4")[classes], key)
    for a, b in zip(
        drawn.pairs(drawn.variables, numbers),
        expected.pairs(expected.variables, numbers),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b, strict=True)
    for wrong in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="the generator takes 0 to 2"):
            samples.of_generator(G, {}, np.array(wrong), key)


def test_bytes_are_cut_not_rounded():
    x = jnp.asarray([-2.0, -1.0, 0.0, 0.999, 1.0, 2.0])
    np.testing.assert_array_equal(pixels.to_uint8(x), [0, 0, 128, 255, 255, 255])
    for x, exact in ((0.003, 128.38), (0.007, 128.89)):
        assert pixels.to_uint8(jnp.asarray(x)) == int(exact)


def test_every_byte_survives_the_round_trip():
    x = np.arange(256).reshape(1, 16, 16, 1)
    back = pixels.to_uint8((x / 127.5 - 1).astype(np.float32))
    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, x)


def test_an_archive_is_named_by_its_images(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    paths = [archive.write_archive(tmp_path / f"{i}.zip", images) for i in range(2)]
    other = archive.write_archive(tmp_path / "other.zip", images[:4])
    first, second, third = (archive.Archive.open(p) for p in (*paths, other))
    assert first.digest() == second.digest() != third.digest()
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, name in enumerate(reversed(first.images)):
        (folder / f"{i}.png").write_bytes(first.files.open(name).read())
    assert archive.Archive.open(folder).digest() == first.digest()
    assert archive.Archive.open(folder, mirror=True).digest() != first.digest()
    part = np.concatenate([images[:3], images[:1], images[:1]])
    similar = archive.write_archive(tmp_path / "similar.zip", part)
    assert archive.Archive.open(similar).digest(3) == first.digest(3) != first.digest()
    shown = samples.of_archive(first)
    assert (shown.shape, shown.count) == ((8, 8, 3), 5)
    np.testing.assert_array_equal(shown.read(np.array([3, 1])), images[[3, 1]])
