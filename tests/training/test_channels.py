"""Grey and transparent images, from a set to a model and its metrics."""

import numpy as np
import pytest
from training import smoke

import afgan_jax
from afgan_jax.analysis import image_equivariance
from afgan_jax.data import archive
from afgan_jax.metrics import evaluation, registry, samples


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_so_many_channels_are_trained_on_and_measured(channels, tmp_path):
    shape = (16, 16, 16, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    data = archive.write_archive(tmp_path / "set.zip", images)
    run = tmp_path / "run"
    settings = {
        "generator.synthesis.img_channels": channels,
        "discriminator.img_channels": channels,
        "augment.mode": "fixed",
        "augment.p": 0.5,
    }
    smoke.train(run, smoke.settings(data, 0.016, **settings))
    assert (run / "fakes000000.png").exists() and (run / "reals.png").exists()
    model = afgan_jax.load(run)
    assert model.images(seeds=[0]).shape == (1, 16, 16, channels)
    chosen = registry.parse_all(("fd16_efficientnet", "eqt32_int"))
    reals = samples.of_archive(archive.Archive.open(data))
    drawn = samples.of_model(model)
    found = list(evaluation.measure(chosen, drawn, lambda: reals, weights={}, batch=8))
    assert len(found) == 2
    for _, result, _ in found:
        assert all(np.isfinite(x) for x in result.values.values())
    both = image_equivariance.with_and_without_filters(model)
    ws = image_equivariance.choose_ws(model, np.zeros((1, 0), np.float32))
    assert image_equivariance.strip(both, ws).shape[2] == 3
    assert image_equivariance.film(both, ws, frames=2)[0].shape[2] == 3
