"""A training on oblong images, from a set to a model, and resumed."""

import jax
import numpy as np
import pytest
from training import smoke

import afgan_jax
from afgan_jax.data import archive
from afgan_jax.runs import run_directory

SIZE = (96, 160)
SETTINGS = {
    "data.resolution": SIZE,
    "generator.synthesis.resolution": SIZE,
    "generator.synthesis.channel_base": 256,
    "discriminator.resolution": SIZE,
    "discriminator.channel_base": 192,
}


@pytest.mark.slow
def test_a_training_on_oblong_images_resumes_bit_for_bit(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (16, *SIZE, 3), np.uint8)
    data = archive.write_archive(tmp_path / "set.zip", images)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    smoke.train(whole, smoke.settings(data, 0.064, **SETTINGS))
    for kimg in (0.032, 0.064):
        smoke.train(parts, smoke.settings(data, kimg, **SETTINGS))
    found, expected = smoke.checkpoint(parts), smoke.checkpoint(whole)
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_array_equal(found[path], leaf, err_msg=path)
    with run_directory.Run.open(whole) as run:
        assert run.config["data"]["resolution"] == SIZE
    model = afgan_jax.load(whole)
    assert model.size == model.resolution == SIZE and model.unit == 96
    moved = model.images(seeds=[0, 1], rotate=0.3, translate=(0.2, 0.1))
    assert moved.shape == (2, *SIZE, 3)
    assert jax.tree.leaves(model.variables)


def test_networks_of_another_shape_are_told_what_to_set(tmp_path):
    images = np.zeros((4, 96, 160, 3), np.uint8)
    data = archive.write_archive(tmp_path / "set.zip", images)
    turned = SETTINGS | {"generator.synthesis.resolution": (160, 96)}
    with pytest.raises(ValueError, match="set generator.synthesis.resolution=96,160$"):
        smoke.train(tmp_path / "run", smoke.settings(data, 0.008, **turned))
    assert not (tmp_path / "run").exists()
