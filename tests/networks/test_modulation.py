"""Layers of synthesis networks: scales of styles, sums over pixels, constant noise."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from afgan_jax.networks import conv_layer, modulation, stylegan2
from afgan_jax.signal import filters, nonlinearity

SIZE = (4, 64, 64, 8)  # 16384 pixels: bfloat16 stops counting at 256
TAPS = filters.lowpass(12, 2, 2, 32)


def image(key=0):
    return jax.random.normal(jax.random.key(key), SIZE)


def filtered(x, bias):
    f = functools.partial(nonlinearity.filtered_lrelu, up=2, down=2, pad=11, slope=1.0)
    return f(x, bias, TAPS, TAPS)


def modulated(x, s):
    w = jax.random.normal(jax.random.key(2), (1, 1, 8, 8))
    return modulation.modulated_conv(x, w, s, demodulate=False)


def noisy(x, strength):
    return modulation.add_scaled(
        x, jax.random.normal(jax.random.key(3), SIZE), strength
    )


BROADCAST = {  # function of x and of what is broadcast to its pixels
    "filtered_bias": (filtered, jnp.zeros(8)),
    "bias": (conv_layer.add, jnp.zeros(8)),
    "styles": (modulated, jnp.ones((4, 8)) + jnp.arange(8.0) / 8),
    "noise_strength": (noisy, jnp.float32(0.1)),
}


@pytest.mark.parametrize("name", BROADCAST)
@pytest.mark.parametrize(("dtype", "off"), [("bfloat16", 2e-2), ("float16", 4e-3)])
def test_gradients_of_what_all_pixels_share_are_summed_in_float32(name, dtype, off):
    function, value = BROADCAST[name]

    @jax.jit
    def gradient(x, value):
        y, pull = jax.vjp(lambda v: function(x, v), value)
        return pull((y + 1).astype(y.dtype))[0]

    x = image().astype(dtype)
    found, expected = gradient(x, value), gradient(x.astype("float32"), value)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, atol=off * np.abs(expected).max())


def test_constant_noise_may_be_of_each_image():
    keys = jax.random.split(jax.random.key(0), 4)
    x, w, noise = (jax.random.normal(k, s) for k, s in zip(keys, NOISED))
    spec = tiny.make_generator(kind="stylegan2", resolution=16).synthesis.layers[0]
    spec = dataclasses.replace(spec, in_channels=3, out_channels=4)
    layer = stylegan2.SynthesisLayer(spec, None)
    variables = layer.init(keys[3], x, w)
    variables["params"]["noise_strength"] = jnp.asarray(0.5)

    @jax.jit
    def run(noise, x, w):
        buffers = {"noise_const": noise}
        return layer.apply(variables | {"buffers": buffers}, x, w, "const")

    together = run(noise, x, w)
    for i in range(2):
        np.testing.assert_allclose(together[i], run(noise[i], x, w)[i], atol=1e-5)
    assert np.abs(together - run(noise[::-1], x, w)).max() > 0.1


NOISED = ((2, 8, 8, 3), (2, 5), (2, 8, 8))


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
