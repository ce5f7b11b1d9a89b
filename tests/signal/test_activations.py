"""Activation functions against their formulas in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.signal import activations

pytestmark = pytest.mark.usefixtures("float64")

# Plain NumPy, written from the textbook.
FORMULAS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "lrelu": lambda x: np.where(x > 0, x, 0.2 * x),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1))
    ),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activation_has_its_formula_and_usual_gain(name):
    x = np.linspace(-3, 3, 61)
    gain = np.sqrt(2) if name in ("relu", "lrelu", "swish") else 1.0
    act = activations.Activation(name)
    np.testing.assert_allclose(
        act(jnp.asarray(x)), gain * FORMULAS[name](x), atol=1e-12
    )
    halved = dataclasses.replace(act, gain=0.5)
    np.testing.assert_allclose(
        halved(jnp.asarray(x)), 0.5 * FORMULAS[name](x), atol=1e-12
    )


def test_gradient_is_zero_where_clamped():
    act = activations.Activation("linear", clamp=1.0)
    slopes = jax.vmap(jax.grad(act))(jnp.array([-3.0, -1.5, -0.5, 0.5, 1.5]))
    np.testing.assert_array_equal(slopes, [0, 0, 1, 1, 0])
