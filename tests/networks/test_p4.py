"""Claims about p4: what its convolutions compute, and that images turn exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from afgan_jax.networks import alias_free, modulation, p4
from afgan_jax.signal import affine

PLAN = {"resolution": 16, "num_layers": 4, "num_critical": 1, "margin": 4}
TINY = PLAN | {"z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 4}


@pytest.fixture
def exact(float64):
    """In float64, constants of networks too that earlier tests have traced."""
    jax.clear_caches()


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def drawn(seed, shapes):
    """Arrays of these shapes, each of its own seed."""
    leaves, tree = jax.tree.flatten(shapes)
    arrays = [normal([seed, i], *leaf.shape) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(tree, map(jnp.asarray, arrays))


def turned_back(offset, turns):
    """R^-s of an offset (down, right), R a quarter turn as np.rot90 does it."""
    for _ in range(turns):
        offset = (offset[1], -offset[0])
    return offset


def group_convolution(x, w):
    """The definition: x [N H W G I], w [k k G I O] -> [N H2 W2 G O]."""
    n, height, width, order, _ = x.shape
    radius = w.shape[0] // 2
    size = (height - 2 * radius, width - 2 * radius)
    y = np.zeros((n, *size, order, w.shape[-1]))
    offsets = range(-radius, radius + 1)
    for s in range(order):
        for r in range(order):
            for q in ((a, b) for a in offsets for b in offsets):
                a, b = turned_back(q, s)
                tap = w[radius + a, radius + b, (r - s) % order]
                top, left = radius + q[0], radius + q[1]
                seen = x[:, top : top + size[0], left : left + size[1], r]
                y[..., s, :] += seen @ tap
    return y


@pytest.mark.parametrize("k", [1, 3])
def test_a_demodulated_convolution_is_that_of_the_definition(float64, k):
    """Of unit gain: fan-in counts the directions."""
    x, w, s = normal(0, 2, 6, 5, 4, 2), normal(1, k, k, 4, 2, 3), normal(2, 2, 2)
    found = modulation.modulated_conv(
        jnp.asarray(x.reshape(2, 6, 5, 8)),
        p4.expand_kernel(jnp.asarray(w), "p4"),
        p4.replicate(jnp.asarray(s), "p4"),
    )
    for i in range(2):
        modulated = w * s[i, :, None]
        modulated /= np.sqrt(np.sum(modulated**2, axis=(0, 1, 2, 3)))
        expected = group_convolution(x[i : i + 1], modulated)
        # Demodulation adds 1e-8 to an energy of about 10.
        y = found[i].reshape(expected.shape[1:])
        np.testing.assert_allclose(y, expected[0], rtol=0, atol=1e-7)


def test_replicas_average_to_what_they_are_of():
    x = jnp.asarray(normal(0, 2, 3, 3, 5))
    lifted = p4.replicate(x, "p4")
    assert lifted.shape == (2, 3, 3, 20)
    np.testing.assert_allclose(p4.average(lifted, "p4"), x, rtol=1e-6)
    other = lifted.at[..., 5:].set(0)  # all directions but the first
    np.testing.assert_allclose(p4.average(other, "p4"), x / 4, rtol=1e-6)


def test_the_image_layer_has_unit_gain():
    """Of 256 independent inputs, 64 a direction; weights are drawn, hence 0.2."""
    sizes = {"channel_base": 4096, "channel_max": 64}
    spec = tiny.make_plan(**PLAN | sizes, symmetry="p4")[-1]
    layer = alias_free.SynthesisLayer(spec, 256.0, 0.999)
    x = jnp.asarray(normal(0, 1, *spec.in_size, 4 * spec.in_channels), jnp.float32)
    w = jnp.zeros((1, 8))  # styles are 1
    y = jax.jit(layer.init_with_output)(jax.random.key(0), x, w)[0]
    assert spec.in_channels == 64 and y.shape == (1, 16, 16, 12)
    assert np.std(y) == pytest.approx(1, abs=0.2)


def as_if_trained(G):
    """Variables in float64, none of which is at its start: frames, biases, averages."""
    variables = jax.eval_shape(G.initialize, jax.random.key(0))
    variables = drawn(0, variables)
    for spec in G.synthesis.layers:
        buffers = variables["buffers"]["synthesis"][spec.name]
        buffers["magnitude_ema"] = buffers["magnitude_ema"] ** 2
    return variables


def unmoved_and_turned(**settings):
    """(images, maps of layers by name, magnitudes): [2 N ...] with the input turned."""
    G = tiny.make_generator(**TINY | settings)
    variables = as_if_trained(G)

    @jax.jit
    def render(z, angle):
        images, state = G.apply(
            variables,
            z,
            transform=affine.user_transform(angle),
            update_emas=True,
            capture_intermediates=True,
            mutable=["buffers", "intermediates"],
        )
        inside = state["intermediates"]["synthesis"]
        names = [spec.name for spec in G.synthesis.layers]
        maps = {name: inside[name]["__call__"][0] for name in names}
        own = state["buffers"]["synthesis"]
        return images, maps, {name: own[name]["magnitude_ema"] for name in names}

    z = jnp.asarray(normal(0, 2, 8))
    return render(z, 0.0), render(z, np.float64(np.pi / 2))


def error(found, expected):
    """Worst difference, in units of how much `expected` varies over an image."""
    return np.abs(found - expected).max() / np.std(expected, axis=(1, 2)).mean()


def quarter_turn(x):
    """Counterclockwise, as `user_transform` has it."""
    return np.rot90(x, axes=(1, 2))


@pytest.mark.slow
def test_images_of_p4_turn_exactly(exact):
    """As do all maps, each direction becoming the next; rounding alone is left."""
    unmoved, turned = unmoved_and_turned(symmetry="p4")
    assert turned[0].dtype == jnp.float64
    assert error(turned[0], quarter_turn(unmoved[0])) < 1e-10
    for name, x in unmoved[1].items():
        x = quarter_turn(x.reshape(*x.shape[:3], 4, -1))
        found = turned[1][name].reshape(x.shape)
        assert error(found, np.roll(x, 1, axis=3)) < 1e-10
        assert error(found, x) > 0.1
        np.testing.assert_allclose(turned[2][name], unmoved[2][name], rtol=1e-12)


def test_images_of_t_do_not_turn(exact):
    unmoved, turned = unmoved_and_turned()
    assert error(turned[0], quarter_turn(unmoved[0])) > 0.1


def test_derivatives_are_those_of_differences(exact):
    """Of the whole layer, along a line through its parameters, input and w."""
    sizes = {"channel_base": 16, "margin": 1}
    spec = tiny.make_plan(**PLAN | sizes, symmetry="p4")[1]
    layer = alias_free.SynthesisLayer(spec, None, 0.999)
    shapes = jax.ShapeDtypeStruct((1, *spec.in_size, 4 * spec.in_channels), float)
    shapes = (shapes, jax.ShapeDtypeStruct((1, 3), float))
    params = jax.eval_shape(layer.init, jax.random.key(0), *shapes)["params"]
    start, line = (drawn(seed, (params, *shapes)) for seed in (0, 1))
    buffers = {"magnitude_ema": jnp.ones(())}

    def loss(t):
        params, x, w = jax.tree.map(lambda a, b: a + t * b, start, line)
        y = layer.apply({"params": params, "buffers": buffers}, x, w)
        return jnp.sum(y * jnp.cos(jnp.arange(y.size)).reshape(y.shape))

    def slope(t):
        value, first = jax.value_and_grad(loss)(t)
        return first, value

    derivatives = jax.jit(jax.value_and_grad(slope, has_aux=True))
    h = 1e-6  # a step that takes no input of leaky ReLU over 0
    ((low, before), _), ((high, after), _) = derivatives(-h), derivatives(h)
    (first, _), second = derivatives(0.0)
    assert min(abs(first), abs(second)) > 0.1
    np.testing.assert_allclose((after - before) / (2 * h), first, rtol=1e-6)
    np.testing.assert_allclose((high - low) / (2 * h), second, rtol=1e-6)


@pytest.mark.slow
def test_p4_has_the_published_number_of_parameters():
    """21.8 million at 256 pixels: Alias-Free GAN, App. F.3.

    T has 23,320,443. Of half as many channels in 4 directions, convolutions have as
    many as before; affine layers and the mix of Fourier features, without directions,
    have a half and a quarter.
    """
    G = tiny.make_generator(
        resolution=256, channel_base=2**13, channel_max=256, symmetry="p4"
    )
    params = jax.eval_shape(G.initialize, jax.random.key(0))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 21_778_817
