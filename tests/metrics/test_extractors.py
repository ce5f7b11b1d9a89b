"""Features of images, in the network that comes in a package."""

import jax
import jax.numpy as jnp
import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

from afgan_jax.metrics import efficientnet, features

MILITARY_UNIFORM = 652  # of the 1000 classes of ImageNet


@pytest.fixture(scope="module")
def photograph():
    """Grace Hopper in the uniform of a rear admiral, uint8 [225 192 3]."""
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(path) as image:
        return np.asarray(image.resize((192, 225), Image.Resampling.BOX))


@pytest.fixture(scope="module")
def extract():
    return features.features("efficientnet", batch_size=2)


def test_efficientnet_knows_what_it_sees(photograph):
    extract = features.features("efficientnet", taps=("logits",), batch_size=2)
    (logits,) = extract(photograph[None])
    chances = np.asarray(jax.nn.softmax(logits[0]))
    assert chances.argmax() == MILITARY_UNIFORM
    assert chances.max() > 3 * np.sort(chances)[-2]


def test_transparent_images_have_the_features_of_what_one_sees_on_white(
    photograph, extract
):
    alpha = np.where(np.arange(192) < 96, 255, 102).astype(np.uint8)
    clear = np.concatenate(
        [photograph, np.broadcast_to(alpha[None, :, None], (225, 192, 1))], axis=2
    )
    part = alpha[None, :, None] / 255
    seen = np.rint(photograph * part + 255 * (1 - part)).astype(np.uint8)
    (found,), (expected,) = extract(clear[None]), extract(seen[None])
    # The latter is rounded to whole levels.
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    (opaque,) = extract(photograph[None])
    assert np.abs(found - opaque).max() > 0.2 * np.abs(expected).max()


@pytest.mark.parametrize("size, kernel, stride", [((8, 7), 3, 2), ((7, 8), 5, 2)])
def test_channels_are_convolved_as_xla_does(size, kernel, stride):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, *size, 4)), jnp.float32)
    taps = jnp.asarray(rng.standard_normal((kernel, kernel, 1, 4)), jnp.float32)
    args = x, taps, (stride, stride), "SAME"
    layout = ("NHWC", "HWIO", "NHWC")
    expected = jax.lax.conv_general_dilated(
        *args, dimension_numbers=layout, feature_group_count=4
    )
    found = efficientnet._convolve_channels(*args)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_images_go_through_in_batches(extract, photograph):
    five = np.stack([np.roll(photograph, 9 * i, axis=0) for i in range(5)])
    found = np.asarray(extract(five))
    assert found.shape == (5, 1280) and found.dtype == np.float32
    for i in (0, 4):
        one = np.asarray(extract(five[i : i + 1]))[0]
        np.testing.assert_allclose(found[i], one, atol=1e-4 * found.max())
    assert np.abs(found[0] - found[4]).max() > 0.1 * found.max()


def test_grey_is_taken_for_three_equal_channels(extract, photograph):
    grey = photograph[None, ..., 1:2]
    np.testing.assert_allclose(
        np.asarray(extract(grey)), np.asarray(extract(grey.repeat(3, -1))), atol=1e-5
    )


def test_other_channels_and_unknown_names_are_refused(extract, photograph):
    with pytest.raises(ValueError, match="images have 2 channels"):
        extract(photograph[None, ..., :2])
    with pytest.raises(ValueError, match="'inceptoin' is unknown: use one of "):
        features.features("inceptoin")


@pytest.mark.parametrize(
    "name, tap, size",
    [
        ("inception", "2048", 2048),
        ("inception_logits", "logits_unbiased", 1008),
        ("vgg16", "fc2", 4096),
    ],
)
def test_features_are_the_published_ones(name, tap, size):
    net = features.NETS[name]
    assert net.tap == tap
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), np.uint8)
    shapes, _ = jax.eval_shape(net.module.init_with_output, jax.random.key(0), images)
    assert shapes[net.tap].shape == (2, size)
