"""Networks for images of any shape: equivariant on each axis, and squares unchanged."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from afgan_jax import errors, image_size
from afgan_jax.metrics import equivariance, samples, sharding
from afgan_jax.networks import discriminator, sizes
from afgan_jax.signal import affine

SMALL = {"z_dim": 8, "w_dim": 8, "channel_base": 256, "channel_max": 12}
T = SMALL | {"num_layers": 7, "margin": 10}
R = T | {"conv_kernel": 1, "radial": True}
OBLONG = (32, 56)


@functools.cache
def generator(resolution, config: str):
    """(G, its variables), which for other shapes are the same."""
    G = tiny.make_generator(resolution=resolution, **{"t": T, "r": R}[config])
    return G, jax.jit(G.initialize)(jax.random.key(0))


def renamed(variables: dict, of, to) -> dict:
    """The variables of a network's layers in one of another shape."""
    names = {a.name: b.name for a, b in zip(of.layers, to.layers, strict=True)}
    return {
        kind: tree
        | {"synthesis": {names.get(k, k): v for k, v in tree["synthesis"].items()}}
        for kind, tree in variables.items()
    }


@pytest.mark.parametrize(
    "resolution", [16, 18, 30, 96, 112, 270, 2048, (96, 160), (270, 480), (16, 2048)]
)
def test_octaves_double_from_four_pixels_and_cover_the_image(resolution):
    size = image_size.size_of(resolution)
    octaves = sizes.octaves(size)
    assert octaves[-1] == size and 4 <= min(octaves[0]) <= 8
    for less, more in zip(octaves, octaves[1:]):
        for axis in (0, 1):
            assert more[axis] <= 2 * less[axis] < more[axis] + 4
            assert (2 * less[axis] - more[axis]) % 2 == 0  # so that centres coincide


def test_squares_of_four_to_seven_times_powers_of_two_have_no_remainder():
    assert [h for h, _ in sizes.octaves((256, 256))] == [4, 8, 16, 32, 64, 128, 256]
    assert [h for h, _ in sizes.octaves((112, 112))] == [7, 14, 28, 56, 112]
    for resolution, sides in ((80, [25, 30, 30, 40]), (96, [26, 32, 32, 44])):
        layers = tiny.make_plan(resolution=resolution, schedule="octaves")
        found = [layers[0].in_size[0], *(spec.out_size[0] for spec in layers)]
        assert sorted(set(found))[:3] == sorted(set(sides))  # margins of 10


@pytest.mark.parametrize("bad", [(96,), (96, 97), (8, 64), 14, (96, 160, 3)])
def test_impossible_shapes_are_refused(bad):
    with pytest.raises(errors.SettingError, match="even number of pixels from 16"):
        image_size.size_of(bad)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["t", "r"])
def test_images_follow_shifts_along_both_axes(config):
    G, variables = generator(OBLONG, config)
    network = samples.of_generator(G, variables, np.zeros((1, 0)), jax.random.key(1))
    over = sharding.BatchSharding.over(8)
    kinds = ["eqt_int", "eqt_frac", *(["eqr"] if config == "r" else [])]
    sums = equivariance.measure_network(network, over, num_samples=16, kinds=kinds)
    for kind in kinds:
        # At first G is as good as its filters of 6 taps: square ones have as much.
        assert equivariance.psnr(sums[kind]) > (90 if kind == "eqt_int" else 70)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_whole_shift_of_pixels_shifts_the_image(axis):
    G, variables = generator(OBLONG, "r")
    z = jax.random.normal(jax.random.key(2), (4, 8))
    shift = [0.0, 0.0]
    shift[1 - axis] = 6 / min(OBLONG)
    apply = jax.jit(G.apply)
    still = np.asarray(apply(variables, z))
    transform = affine.user_transform(0.0, *shift)
    moved = np.asarray(apply(variables, z, transform=transform))
    clear = [slice(None), slice(8, -8), slice(8, -8)]
    error = (moved - np.roll(still, 6, axis=1 + axis))[tuple(clear)]
    contrast = np.std(still)
    assert 20 * np.log10(contrast / np.sqrt(np.mean(error**2))) > 40


@pytest.mark.parametrize("config", ["t", "r"])
def test_a_square_of_an_oblong_image_is_that_of_the_square_network(config):
    square, variables = generator(32, config)
    oblong, _ = generator(OBLONG, config)
    theirs = renamed(variables, square.synthesis, oblong.synthesis)
    z = jax.random.normal(jax.random.key(3), (4, 8))
    one = np.asarray(jax.jit(square.apply)(variables, z))
    other = np.asarray(jax.jit(oblong.apply)(theirs, z))
    assert other.shape == (4, *OBLONG, 3)
    middle = other[:, :, 12:44]
    # The margins differ: what crosses the border of the square is cut off 10 pixels
    # beyond it.
    error = np.sqrt(np.mean((middle - one)[:, :, 8:-8] ** 2))
    assert 20 * np.log10(np.std(one) / error) > 45
    assert np.std(other[:, :, :12]) > 0.2 * np.std(one)  # and there is more beside it


@pytest.mark.parametrize("lowpass", ["bilinear", "kaiser"])
@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
@pytest.mark.parametrize("resolution", [(32, 56), (46, 30)])
def test_a_discriminator_sees_all_of_an_image(architecture, lowpass, resolution):
    sizes_of = {"channel_base": 128, "channel_max": 8, "mbstd_group_size": None}
    D = discriminator.make_discriminator(
        resolution=resolution, architecture=architecture, lowpass=lowpass, **sizes_of
    )
    variables = jax.jit(D.initialize)(jax.random.key(0))
    images = jax.random.normal(jax.random.key(1), (2, *resolution, 3))
    seen = jax.jit(jax.grad(lambda x: jnp.sum(D.apply(variables, x))))(images)
    seen = np.abs(np.asarray(seen)).sum(axis=(0, 3))
    assert seen.shape == resolution and seen.min() > 1e-3 * seen.mean()
    with pytest.raises(ValueError, match="images are"):
        D.apply(variables, images[:, :, :-2])


@pytest.mark.parametrize(
    "kind, more",
    [
        ("stylegan2", {"architecture": "skip"}),
        ("stylegan2", {"architecture": "resnet"}),
        ("stylegan2_fourier", {}),
        ("alias_free", {"schedule": "octaves", "num_critical": None}),
        ("alias_free", {"symmetry": "p4", "num_layers": 7}),
    ],
)
@pytest.mark.parametrize("resolution", [(32, 56), (46, 30)])
def test_every_kind_makes_oblong_images(kind, more, resolution):
    G = tiny.make_generator(kind=kind, resolution=resolution, **SMALL, **more)
    variables = jax.jit(G.initialize)(jax.random.key(0))
    images = jax.jit(G.apply)(variables, jax.random.normal(jax.random.key(1), (2, 8)))
    assert images.shape == (2, *resolution, 3)
    assert np.isfinite(images).all() and np.std(images) > 1e-3
    assert G.synthesis.size == G.synthesis.resolution == resolution
    assert G.synthesis.unit == min(resolution)
