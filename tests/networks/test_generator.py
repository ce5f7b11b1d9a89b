"""Untrained generators: equivariance in dB, labels, truncation, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from afgan_jax.metrics import equivariance
from afgan_jax.signal import affine

SMALL = {"z_dim": 16, "w_dim": 16, "channel_base": 1024, "channel_max": 32}
R = {"conv_kernel": 1, "radial": True, "channel_base": 2048, "channel_max": 64}


def initialize(**settings):
    G = tiny.make_generator(**(SMALL | settings))
    return G, G.initialize(jax.random.key(0))


def equivariance_of(kinds, samples=8, **settings):
    """PSNR in dB of some samples at 64 pixels from an untrained network.

    An untrained network is about six times paler than photographs, which would flatter
    the figures by 16 dB; they are for images as contrasty as photographs.
    """
    G, variables = initialize(resolution=64, **settings)

    @jax.jit
    def render(numbers, transforms):
        z = jax.random.normal(jax.random.key(0), (samples, 16))[numbers]
        return 6 * G.apply(variables, z, transform=transforms)

    sums = equivariance.measure(
        render, num_samples=samples, batch_size=2, seed=0, resolution=64, kinds=kinds
    )
    return {kind: equivariance.psnr(found) for kind, found in sums.items()}


@pytest.mark.slow
def test_t_follows_translation_but_not_rotation():
    psnr = equivariance_of(("eqt_int", "eqr"))
    assert psnr["eqt_int"] > 50
    assert psnr["eqr"] < 20


@pytest.mark.slow
def test_r_follows_translation_and_rotation():
    psnr = equivariance_of(("eqt_int", "eqr"), **R)
    assert psnr["eqt_int"] > 65
    assert psnr["eqr"] > 50


@pytest.mark.slow
def test_without_low_pass_filters_translation_is_not_followed():
    psnr = equivariance_of(("eqt_int",), lowpass="none")
    assert psnr["eqt_int"] < 35


TINY = {"resolution": 16, "num_layers": 4, "margin": 4, "channel_max": 8}


@functools.cache
def small():
    """A generator of four layers with labels, averages away from their start."""
    G, variables = initialize(**TINY, c_dim=3)
    w_avg = jnp.linspace(-1, 1, 16)
    buffers = variables["buffers"] | {"mapping": {"w_avg": w_avg}}
    return G, variables | {"buffers": buffers}


def latents(n=2):
    return jax.random.normal(jax.random.key(1), (n, 16)), jnp.eye(3)[jnp.arange(n) % 3]


def test_truncation_moves_the_first_ws_towards_their_average():
    G, variables = small()
    mapped = functools.partial(G.apply, variables, *latents(), method="map")
    ws, w_avg = mapped(), variables["buffers"]["mapping"]["w_avg"]
    assert ws.shape == (2, 6, 16)
    np.testing.assert_array_equal(mapped(1.0), ws)
    np.testing.assert_allclose(mapped(0.0), jnp.broadcast_to(w_avg, ws.shape))
    half = (ws + w_avg) / 2
    np.testing.assert_allclose(mapped(0.5), half, atol=1e-6)
    some = mapped(0.5, 2)
    np.testing.assert_allclose(some[:, :2], half[:, :2], atol=1e-6)
    np.testing.assert_array_equal(some[:, 2:], ws[:, 2:])


def test_labels_change_the_image_and_their_scale_does_not():
    G, variables = small()
    z, c = latents()
    mapped = functools.partial(G.apply, variables, method="map")
    ws = mapped(z, c)
    assert np.abs(ws - mapped(z, c[::-1])).max() > 0.1
    np.testing.assert_allclose(mapped(2 * z, c), ws, atol=1e-5)


@pytest.mark.slow
def test_image_of_a_call_is_the_synthesis_of_its_ws():
    G, variables = small()
    z, c = latents()
    ws = G.apply(variables, z, c, 0.7, method="map")
    images = G.apply(variables, z, c, 0.7)
    assert images.shape == (2, 16, 16, 3) and images.dtype == jnp.float32
    again = G.apply(variables, ws, method="synthesize")
    np.testing.assert_array_equal(images, again)


def test_each_sample_may_have_its_own_transform():
    G, variables = small()
    z, c = latents()
    moves = affine.user_transform(jnp.array([0.3, -1.0]), jnp.array([0.1, 0.0]))
    apply = jax.jit(G.apply)
    together = apply(variables, z, c, transform=moves)
    for i in range(2):
        alone = apply(variables, z, c, transform=moves[i])[i]
        np.testing.assert_allclose(together[i], alone, atol=1e-5)


def test_averages_move_only_when_asked():
    G, variables = small()
    z, c = latents()
    _, still = G.apply(variables, z, c, mutable=["buffers"])
    _, moved = G.apply(variables, z, c, update_emas=True, mutable=["buffers"])
    for a, b in zip(*map(jax.tree.leaves, (still["buffers"], variables["buffers"]))):
        np.testing.assert_array_equal(a, b)
    before, after = variables["buffers"], moved["buffers"]
    for name in (spec.name for spec in G.synthesis.layers):
        magnitudes = [b["synthesis"][name]["magnitude_ema"] for b in (before, after)]
        assert magnitudes[0] != magnitudes[1]
    assert np.abs(before["mapping"]["w_avg"] - after["mapping"]["w_avg"]).max() > 1e-4


@pytest.mark.parametrize(
    ("c", "message"),
    [
        (None, "c has no numbers per sample: give c_dim=3"),
        (jnp.zeros((2, 4)), "c has 4 numbers"),
    ],
)
def test_wrong_labels_are_refused(c, message):
    G, variables = small()
    with pytest.raises(ValueError, match=message):
        G.apply(variables, latents()[0], c)


def test_wrong_latents_are_refused():
    G, variables = small()
    with pytest.raises(ValueError, match="z has 5 numbers .* z_dim=16"):
        G.apply(variables, jnp.zeros((2, 5)), latents()[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "sg2"}, "synthesis.kind='sg2' is unknown: use one of alias_free, s"),
        ({"symmetry": "p5"}, "symmetry='p5' is unknown: use one of none, p4"),
        (
            {"kind": "stylegan2_fourier", "architecture": "resnet"},
            "architecture='resnet' is unknown: use one of orig, skip",
        ),
        (
            {"schedule": "octaves", "num_layers": 9},
            "synthesis.num_layers=9 does not apply to schedule='octaves'",
        ),
        ({"input": "constant"}, "input='constant' is unknown: use one of fourier, f"),
        (
            {"kind": "stylegan2", "architecture": "x"},
            "architecture='x' is unknown",
        ),
        ({"z_dim": 0}, "mapping.z_dim=0 must be from 1 to"),
        (
            {"kind": "stylegan2", "resolution": 37},
            "resolution=37 is not supported: choose an even number of pixels",
        ),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny.make_generator(**({"resolution": 64} | settings))


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "orig"},
        {"kind": "stylegan2", "radial": True},
        {"kind": "stylegan2", "symmetry": "p4"},
        {"kind": "stylegan2", "noise": True},
        {"kind": "stylegan2_fourier", "act_up": 1},
    ],
)
def test_settings_of_another_kind_are_no_arguments(settings):
    name = list(settings)[-1]
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        tiny.make_generator(resolution=64, **settings)


def test_stylegan2_has_no_transform():
    G, variables = initialize(resolution=16, kind="stylegan2", channel_base=64)
    with pytest.raises(ValueError, match="takes no transform"):
        G.apply(variables, latents()[0], transform=jnp.eye(3), noise="none")
