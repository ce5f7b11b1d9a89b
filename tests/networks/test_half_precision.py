"""Networks in half precision and with recomputation, against the same in float32."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from afgan_jax.networks import discriminator, rematerialization

SMALL = {"z_dim": 16, "w_dim": 16, "channel_base": 1024, "channel_max": 32}
TINY = {"resolution": 16, "num_layers": 4, "margin": 4, "channel_max": 8}
R = {"conv_kernel": 1, "radial": True, "channel_base": 2048}
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
    "num_half_res=-1 must be from 0 to 1000": {"num_half_res": -1},
    "set conv_clamp to 256": {"dtype": "float16", "conv_clamp": None},
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("message", BAD_PRECISION)
def test_unknown_precision_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(**BAD_PRECISION[message])
