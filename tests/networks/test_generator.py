"""Untrained generators: equivariance in dB, labels, truncation, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.test_util import check_grads

from afgan_jax.metrics import equivariance
from afgan_jax.networks import (
    discriminator,
    generator,
    minibatch_stddev,
    modulation,
    protocol,
    rematerialization,
)
from afgan_jax.signal import affine, bandlimit

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


def test_t_follows_translation_but_not_rotation():
    psnr = equivariance_of(("eqt_int", "eqr"), samples=16)
    assert psnr["eqt_int"] > 50
    assert psnr["eqr"] < 20


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
    together = G.apply(variables, z, c, transform=moves)
    for i in range(2):
        alone = G.apply(variables, z, c, transform=moves[i])[i]
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
    [(None, "got none per sample, .* c_dim=3"), (jnp.zeros((2, 4)), "got 4 numbers")],
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
        ({"z_dim": 0}, "mapping.z_dim=0 must be at least 1"),
        (
            {"kind": "stylegan2", "resolution": 36},
            "resolution=36 is not supported",
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


@pytest.mark.parametrize("kind", generator.SYNTHESES)
def test_every_kind_offers_what_a_synthesis_network_has_to(kind):
    network = tiny.make_generator(kind=kind, resolution=32).synthesis
    assert isinstance(network, protocol.SynthesisNetwork)
    assert all(isinstance(spec, protocol.Layer) for spec in network.layers)
    assert [row["name"] for row in network.rows()] == [s.name for s in network.layers]
    for before, after in zip(network.layers, network.layers[1:]):
        if not before.is_rgb:
            assert before.out_size == after.in_size
            assert before.out_channels == after.in_channels


def test_stylegan2_has_no_transform():
    G, variables = initialize(resolution=16, kind="stylegan2", channel_base=64)
    with pytest.raises(ValueError, match="no transform"):
        G.apply(variables, latents()[0], transform=jnp.eye(3), noise="none")


def test_alias_free_modulation_does_not_depend_on_the_scale_of_styles():
    """Nor of weights; the epsilon of demodulation alone would not see to that."""
    keys = jax.random.split(jax.random.key(2), 3)
    x, w, styles = (
        jax.random.normal(key, shape)
        for key, shape in zip(keys, [(2, 5, 5, 4), (3, 3, 4, 6), (2, 4)])
    )
    y = modulation.modulated_conv(x, w, styles)
    faint = modulation.modulated_conv(x, 1e-3 * w, 1e-3 * styles)
    np.testing.assert_allclose(faint, y, rtol=0, atol=1e-5 * np.abs(y).max())


@pytest.mark.parametrize("layout", ["contiguous", "interleaved"])
def test_minibatch_stddev_is_that_of_each_group(layout):
    """Two groups of three, one with equal members: its statistic is 0."""
    x = np.zeros((6, 2, 2, 4), np.float32)
    group = [3, 4, 5] if layout == "contiguous" else [1, 3, 5]
    x[group, ..., 2:] = np.array([1, 3, 5])[:, None, None, None]  # variance 8/3
    y = np.asarray(minibatch_stddev.minibatch_stddev(jnp.asarray(x), 3, 2, layout))
    np.testing.assert_array_equal(y[..., :4], x)
    others = [n for n in range(6) if n not in group]
    expected = np.tile([0.0, np.sqrt(8 / 3)], (3, 2, 2, 1))
    # 1e-4 is the root of the 1e-8 under the square root.
    np.testing.assert_allclose(y[group][..., 4:], expected, atol=2e-4)
    np.testing.assert_allclose(y[others][..., 4:], 0, atol=2e-4)


def test_minibatch_stddev_of_all_samples_is_numpys():
    x = np.random.default_rng(0).normal(size=(6, 3, 4, 5)).astype(np.float32)
    expected = x.std(axis=0).mean()
    for size, n in ((None, 6), (8, 6), (6, 6)):
        y = minibatch_stddev.minibatch_stddev(jnp.asarray(x[:n]), size)
        np.testing.assert_allclose(y[..., 5], expected, rtol=1e-5)


def test_minibatch_stddev_refuses_a_part_of_a_group():
    with pytest.raises(ValueError, match="batch of 6 .* mbstd_group_size=4"):
        minibatch_stddev.minibatch_stddev(jnp.zeros((6, 4, 4, 3)), 4)


def make_discriminator(**settings):
    small = {"resolution": 16, "channel_base": 64, "channel_max": 8}
    return discriminator.make_discriminator(**(small | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "x"}, "architecture='x' is unknown: use one of"),
        ({"mbstd_layout": "x"}, "mbstd_layout='x' is unknown: use one of"),
        ({"lowpass": "x"}, "lowpass='x' is unknown: use one of"),
        ({"resolution": 36}, "resolution=36 is not supported"),
        ({"resolution": 16384}, "resolution=16384 is not supported"),
    ],
)
def test_discriminator_refuses_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make_discriminator(**settings)


FILTERED = {  # sizes at which activations of a discriminator are filtered
    "resnet": [16, 16, 8, 8, 4],
    "skip": [16, 16, 8, 8, 8, 4],
    "orig": [16, 16, 8, 8, 4],
}


@pytest.mark.parametrize("architecture", FILTERED)
def test_filters_are_in_every_block_and_leave_parameters_alone(
    architecture, monkeypatch
):
    sizes, activate = [], bandlimit.activate

    def noting(x, *args, **options):
        sizes.append(x.shape[1])
        return activate(x, *args, **options)

    monkeypatch.setattr(bandlimit, "activate", noting)
    made = []
    for lowpass in ({}, {"lowpass": "bilinear"}, {"lowpass": "kaiser"}):
        assert not sizes
        D = make_discriminator(architecture=architecture, **lowpass)
        x = jnp.zeros((4, 16, 16, 3))
        made.append(jax.eval_shape(D.init_with_output, jax.random.key(0), x))
    assert made[0] == made[1] == made[2]
    assert sizes == FILTERED[architecture]


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_gradient_penalty_of_an_alias_free_discriminator_is_that_of_differences():
    D = make_discriminator(lowpass="kaiser", channel_base=32, channel_max=2)
    images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3), jnp.float64)
    variables = jax.jit(D.init)(jax.random.key(0), images)
    params = jax.tree.map(lambda a: a.astype(jnp.float64), variables["params"])

    @jax.jit
    def penalty(params):
        def total(images):
            return jnp.sum(D.apply({"params": params}, images))

        return jnp.sum(jax.grad(total)(images) ** 2)

    # A step so short that no sign turns that leaky ReLU takes its slope from.
    check_grads(penalty, (params,), 1, ["rev"], eps=1e-7, rtol=1e-4, atol=1e-6)


def test_discriminator_refuses_other_images_and_missing_labels():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"images are \(8, 8, 3\)"):
        make_discriminator().init(key, jnp.zeros((4, 8, 8, 3)))
    with pytest.raises(ValueError, match="c_dim=3"):
        make_discriminator(c_dim=3).init(key, jnp.zeros((4, 16, 16, 3)))


MAKERS = {
    "t": functools.partial(tiny.make_generator, **SMALL | TINY),
    "r": functools.partial(tiny.make_generator, **SMALL | R | TINY),
    "p4": functools.partial(tiny.make_generator, **SMALL | TINY, symmetry="p4"),
    "a": functools.partial(
        tiny.make_generator,
        **SMALL | {"resolution": 16, "kind": "stylegan2", "channel_max": 8},
    ),
    "d": functools.partial(
        discriminator.make_discriminator,
        resolution=16,
        channel_base=256,
        channel_max=16,
    ),
}
# With filters from the image to 4x4; its programs take long to compile.
MAKERS["d_kaiser"] = functools.partial(MAKERS["d"], lowpass="kaiser")


def loss_of(make, **settings):
    """(loss, params): the loss is (a weighted sum of outputs, the outputs)."""
    net = make(**settings)
    shape = (4, 16) if hasattr(net, "mapping") else (4, 16, 16, 3)
    x = jax.random.normal(jax.random.key(1), shape)
    keys = {"params": jax.random.key(0), "noise": jax.random.key(2)}
    variables = jax.jit(net.init)(keys, x)

    def loss(params):
        y = net.apply(variables | {"params": params}, x)
        return jnp.sum(y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)), y

    return loss, variables["params"]


@functools.cache
def outputs_and_gradients(make, **settings):
    loss, params = loss_of(make, **settings)
    grads, y = jax.jit(jax.grad(loss, has_aux=True))(params)
    return y, np.concatenate([np.ravel(g) for g in jax.tree.leaves(grads)])


def distance(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("dtype", "make"),
    [
        ("bfloat16", "t"),
        ("float16", "d"),
        *(pytest.param("bfloat16", name, marks=pytest.mark.slow) for name in "rad"),
        *(pytest.param("float16", name, marks=pytest.mark.slow) for name in "tra"),
        *(
            pytest.param(dtype, name, marks=pytest.mark.slow)
            for dtype in ("bfloat16", "float16")
            for name in ("p4", "d_kaiser")
        ),
    ],
)
def test_half_precision_rounds_what_float32_computes(dtype, make):
    make, bits = MAKERS[make], {"bfloat16": 8, "float16": 11}[dtype]
    y, gradient = outputs_and_gradients(make)
    half_y, half_gradient = outputs_and_gradients(make, dtype=dtype)
    assert half_y.dtype == jnp.float32 and half_gradient.dtype == np.float32
    assert 0.05 * 2**-bits < distance(half_y, y) < 15 * 2**-bits
    # Rounding turns signs that leaky ReLU takes the slope from: no closer than this.
    assert distance(half_gradient, gradient) < 0.35
    same_y, same_gradient = outputs_and_gradients(make, dtype=dtype, num_half_res=0)
    np.testing.assert_array_equal(same_y, y)
    np.testing.assert_array_equal(same_gradient, gradient)


def kept(loss, params) -> int:
    """How many numbers of images' maps the derivative of a loss keeps."""
    residuals = jax.eval_shape(lambda p: jax.vjp(loss, p)[1], params)
    # Parameters and filters aside, which are there once.
    return sum(a.size for a in jax.tree.leaves(residuals) if a.shape[:1] == (4,))


@pytest.mark.parametrize(
    "make",
    ["d", *(pytest.param(n, marks=pytest.mark.slow) for n in ("t", "r", "a", "p4"))],
)
def test_recomputing_keeps_less_and_changes_no_gradient(make):
    make, sizes = MAKERS[make], {}
    for remat in rematerialization.REMAT:
        sizes[remat] = kept(*loss_of(make, remat=remat))
        _, found = outputs_and_gradients(make, remat=remat)
        assert distance(found, outputs_and_gradients(make)[1]) < 1e-5
    assert sizes["layer"] < sizes["conv"] < sizes["none"]


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_recomputing_alias_free_layers_of_D_changes_no_gradient():
    """In float64: rounding turns a sign that leaky ReLU takes its slope from."""
    jax.clear_caches()  # of constants that earlier tests have traced in float32
    sizes, found = {}, {}
    for remat in rematerialization.REMAT:
        loss, params = loss_of(MAKERS["d_kaiser"], remat=remat)
        params = jax.tree.map(lambda a: a.astype(jnp.float64), params)
        sizes[remat] = kept(loss, params)
        gradients, _ = jax.jit(jax.grad(loss, has_aux=True))(params)
        found[remat] = np.concatenate([np.ravel(g) for g in jax.tree.leaves(gradients)])
        assert distance(found[remat], found["none"]) < 1e-12
    assert sizes["layer"] < sizes["conv"] < sizes["none"]


BAD_PRECISION = {
    "dtype='half' is unknown: use one of float32, bfloat16, float16": {"dtype": "half"},
    "remat='all' is unknown: use one of none, conv, layer": {"remat": "all"},
    "num_half_res=-1 must be at least 0": {"num_half_res": -1},
    "set conv_clamp to 256": {"dtype": "float16", "conv_clamp": None},
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("message", BAD_PRECISION)
def test_unknown_precision_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(**BAD_PRECISION[message])
