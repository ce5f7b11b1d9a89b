"""Convolution layers with filters: what they keep, what they share with plain ones."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.networks import conv_layer, filtered
from afgan_jax.signal import bandlimit

SIZE = 16


def waves(moved: float):
    """[1 4*SIZE 4*SIZE 3]: periodic in SIZE pixels, below half of Nyquist."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*2 * [np.arange(4 * SIZE) - moved], indexing="ij")
    rows, columns = rng.integers(-3, 4, (2, 3, 8))
    cycles = (y[..., None, None] * rows + x[..., None, None] * columns) / SIZE
    waves = np.sin(2 * np.pi * (cycles + rng.uniform(size=(3, 8))))
    return jnp.asarray(waves.sum(axis=-1)[None] / 2, jnp.float32)


class Network(nn.Module):
    """Down, and up again."""

    design: bandlimit.Design | None

    @nn.compact
    def __call__(self, x):
        x = filtered.FilteredConv(8, design=self.design)(x)
        x = filtered.FilteredConv(8, down=2, design=self.design)(x)
        return filtered.FilteredConv(8, up=2, activation="tanh", design=self.design)(x)


def stuck(design) -> float:
    """The part of a period, in power, that does not follow a shift by half a pixel."""
    net = Network(design)
    variables = jax.jit(net.init)(jax.random.key(0), waves(0.0))
    run = jax.jit(lambda x: net.apply(variables, x)[0, SIZE:-SIZE, SIZE:-SIZE][:SIZE])
    still, moved = (np.asarray(run(waves(m)))[:, :SIZE] for m in (0.0, 0.5))
    f = np.fft.fftfreq(SIZE)
    phase = np.exp(-2j * np.pi * 0.5 * (f[:, None] + f))[..., None]
    expected = np.fft.ifft2(np.fft.fft2(still, axes=(0, 1)) * phase, axes=(0, 1)).real
    return np.mean((moved - expected) ** 2) / np.var(expected)


def test_what_filtered_layers_make_follows_a_shift():
    assert stuck(bandlimit.DESIGN) < 1e-3 < 1e-1 < stuck(None)


@pytest.mark.parametrize("change", [{}, {"down": 2}, {"up": 2}, {"activation": "tanh"}])
def test_layers_with_filters_without_and_of_conv_layer_share_parameters(change):
    x = jnp.ones((2, 8, 8, 3))
    layers = [
        filtered.FilteredConv(4, **change),
        filtered.FilteredConv(4, design=None, **change),
        conv_layer.ConvLayer(4, 3, **change),
    ]
    made = [jax.eval_shape(n.init_with_output, jax.random.key(0), x) for n in layers]
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("up, down", [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
def test_a_layer_without_filters_is_an_ordinary_one(up, down):
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, 3))
    layer = filtered.FilteredConv(*(4, 3, nn.leaky_relu), up=up, down=down, design=None)
    variables = layer.init(jax.random.key(0), x)
    w = variables["params"]["weight"] / np.sqrt(27)
    repeated = jnp.repeat(jnp.repeat(x, up, axis=1), up, axis=2)
    # Of three pixels the one in the middle stays, of two the first.
    pads = [(1 + (2 - down) // 2, 1 + (1 - down) // 2) if down > 1 else (1, 1)] * 2
    if up > 1:  # a convolution, not a correlation, on the way up as in StyleGAN2
        w = w[::-1, ::-1]
    expected = nn.leaky_relu(
        jax.lax.conv_general_dilated(
            *(repeated, w, (down, down), pads),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    )
    found = layer.apply(variables, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_usual_gain_and_clamp_are_scaled_together():
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 3))
    layer = filtered.FilteredConv(4, clamp=0.5, design=None)
    variables = layer.init(jax.random.key(0), x)
    whole, half = layer.apply(variables, x), layer.apply(variables, x, 0.5)
    assert np.abs(whole).max() == 0.5
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)


def test_images_of_videos_and_half_precision_pass():
    layer = filtered.FilteredConv(4, down=2)
    x = jnp.ones((2, 3, 7, 9, 3), jnp.bfloat16)
    y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
    assert y.shape == (2, 3, 3, 4, 4) and y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.float32.dtype}


def test_impossible_layers_are_refused():
    x = jnp.ones((1, 8, 8, 3))
    with pytest.raises(ValueError, match="up=2, down=2: one of them must be 1"):
        filtered.FilteredConv(4, up=2, down=2).init(jax.random.key(0), x)
    narrow = dataclasses.replace(bandlimit.DESIGN, cutoff=2.0)
    with pytest.raises(ValueError, match="cutoff=2.0, stopband=1.1"):
        filtered.FilteredConv(4, up=2, design=narrow).init(jax.random.key(0), x)
