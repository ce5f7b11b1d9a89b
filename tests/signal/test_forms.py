"""The inner form is chosen for the platform a program is lowered for."""

import jax
import jax.numpy as jnp
import pytest

from afgan_jax.signal import convolve, filters, nonlinearity


def lowered_gradient(platform: str) -> str:
    up = filters.lowpass(12, 2.0, 6.0, 32.0)
    down = filters.lowpass(12, 2.0, 6.0, 32.0, radial=True)

    def loss(x, w):
        y = convolve.conv(x, w, pad=2)
        y = nonlinearity.filtered_lrelu(y, None, up, down, up=2, down=2, pad=(9, 8))
        return jnp.sum(y)

    shapes = jnp.zeros((2, 16, 16, 8)), jnp.zeros((3, 3, 8, 8))
    traced = jax.jit(jax.grad(loss, (0, 1))).trace(*shapes)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def test_cpu_sums_slices_and_multiplies_taps():
    text = lowered_gradient("cpu")
    assert text.count("stablehlo.slice") > 100
    assert text.count("dot_general") == 1  # the weight gradient


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_multiply_banded_matrices(platform):
    text = lowered_gradient(platform)
    assert text.count("dot_general") >= 10
    assert text.count("stablehlo.slice") < 20
