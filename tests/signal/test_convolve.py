"""The convolution and its own derivative rule against XLA's, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.signal import convolve, operators
from afgan_jax.signal.backends import cpu_convolution, xla_convolution

pytestmark = pytest.mark.usefixtures("float64")

# (kernel, stride, up, ((y lo, y hi), (x lo, x hi)))
SETTINGS = {
    "3x3": ((3, 3), 1, 1, ((1, 1), (1, 1))),
    "3x3_growing": ((3, 3), 1, 1, ((2, 2), (2, 2))),
    "3x3_valid": ((3, 3), 1, 1, ((0, 0), (0, 0))),
    "3x3_asymmetric": ((3, 3), 1, 1, ((2, 0), (-1, 1))),
    "1x1": ((1, 1), 1, 1, ((0, 0), (0, 0))),
    "1x1_padded": ((1, 1), 1, 1, ((1, 0), (0, 2))),
    "stride2": ((3, 3), 2, 1, ((1, 1), (1, 1))),
    "stride2_valid": ((3, 3), 2, 1, ((0, 0), (0, 0))),
    "stride2_1x1": ((1, 1), 2, 1, ((0, 0), (0, 0))),
    "up2": ((3, 3), 1, 2, ((2, 2), (1, 3))),
    "up2_crop": ((3, 3), 1, 2, ((-1, 2), (1, -2))),
    "up2_stride3": ((3, 2), 3, 2, ((2, 1), (0, 3))),
    "oblong": ((2, 4), 1, 1, ((0, 1), (2, 1))),
}
ALL = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)


def arrays(kernel, n=4):
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(n, 8, 9, 3)), rng.normal(size=(*kernel, 3, 5))
    return jnp.asarray(x), jnp.asarray(w)


def ours(setting, x, w):
    _, stride, up, pad = setting
    return convolve.conv(x, w, stride=stride, up=up, pad=pad)


def xla(setting, x, w):
    _, stride, up, pad = setting
    return jax.lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        pad,
        lhs_dilation=(up, up),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def value_and_gradients(run, setting, x, w):
    """Output, first gradients, and gradients of two norms of first gradients."""

    def energy(x, w):
        return jnp.sum(jnp.sin(run(setting, x, w)))

    def norm(argument, x, w):
        return jnp.sum(jax.grad(energy, argument)(x, w) ** 2)

    both = (0, 1)
    return [
        run(setting, x, w),
        jax.grad(energy, both)(x, w),
        *(jax.grad(functools.partial(norm, i), both)(x, w) for i in both),
    ]


@ALL
def test_value_and_all_gradients_to_second_order_are_xlas(setting):
    x, w = arrays(setting[0])
    found = value_and_gradients(ours, setting, x, w)
    expected = value_and_gradients(xla, setting, x, w)
    for a, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-12 * np.abs(e).max())


@ALL
def test_all_implementations_of_the_convolution_agree(setting):
    x, w = arrays(setting[0])
    op = operation(setting, x, w)
    for run in (cpu_convolution.conv, cpu_convolution.conv_by_phases):
        expected = xla(setting, x, w)
        atol = 1e-12 * abs(expected).max()
        np.testing.assert_allclose(run(op, x, w), expected, rtol=0, atol=atol)


@ALL
def test_transposed_convolution_is_the_adjoint(setting):
    x, w = arrays(setting[0])
    op = operation(setting, x, w)
    y = jnp.cos(jnp.arange(4.0 * op.size_out[0] * op.size_out[1] * 5))
    y = y.reshape(4, *op.size_out, 5)
    forward = float(jnp.sum(convolve.apply(op, x, w) * y))
    back = convolve.apply(op.transposed(), y, xla_convolution.flip(w))
    assert forward == pytest.approx(float(jnp.sum(x * back)), rel=1e-11)
    assert op.transposed().transposed() == op


def operation(setting, x, w):
    kernel, stride, up, pad = setting
    size_out = ours(setting, x, w).shape[1:3]
    lo = (pad[0][0], pad[1][0])
    return operators.Convolution(kernel, stride, up, lo, x.shape[1:3], size_out)


@pytest.mark.parametrize("stride", [1, 2])
def test_many_terms_in_half_precision_are_rounded_once(stride, monkeypatch):
    """Sums of bfloat16 in bfloat16 stop at 256 terms alike."""
    monkeypatch.setattr(cpu_convolution, "_CHUNK_BYTES", 1)
    size = (256 * stride, 3 * stride)
    op = operators.Convolution((1, 1), stride, 1, (0, 0), size, (256, 3))
    x = jnp.ones((8, *size, 2), jnp.bfloat16)
    ct = jnp.ones((8, *op.size_out, 2), jnp.bfloat16)
    for run in (
        cpu_convolution.weight_gradient_by_taps,
        cpu_convolution.weight_gradient_in_training,
    ):
        found = run(op, x, ct)
        assert found.dtype == jnp.bfloat16
        np.testing.assert_array_equal(np.asarray(found, float), 8 * 256 * 3)


def test_maps_without_rows_or_columns_have_a_gradient_of_zeros():
    for size in ((0, 3), (3, 0)):
        op = operators.Convolution((3, 3), 1, 1, (1, 1), (3, 3), size)
        x, ct = jnp.ones((2, 3, 3, 2)), jnp.ones((2, *size, 4))
        found = cpu_convolution.weight_gradient_by_taps(op, x, ct)
        np.testing.assert_array_equal(found, jnp.zeros((3, 3, 2, 4)))
    op = operators.Convolution((3, 3), 1, 2, (2, 2), (3, 3), (6, 6))
    y = cpu_convolution.conv_by_phases(
        op, jnp.ones((2, 3, 3, 2)), jnp.ones((3, 3, 2, 0))
    )
    assert y.shape == (2, 6, 6, 0)


@ALL
def test_no_images_give_none_and_a_gradient_of_zeros(setting):
    x, w = arrays(setting[0], n=0)
    op = operation(setting, x, w)
    ct = jnp.zeros((0, *op.size_out, 5))
    for run in (cpu_convolution.conv, cpu_convolution.conv_by_phases):
        assert run(op, x, w).shape == ct.shape
    for run in (
        cpu_convolution.weight_gradient_by_taps,
        cpu_convolution.weight_gradient_in_training,
    ):
        np.testing.assert_array_equal(run(op, x, ct), jnp.zeros_like(w))


@ALL
@pytest.mark.parametrize("limit", [1, 5_000, 30_000, 4_000_000])
def test_all_implementations_of_the_weight_gradient_agree(setting, limit, monkeypatch):
    """Whether the products are of rows, of one image at a time, or several, or all."""
    monkeypatch.setattr(cpu_convolution, "_CHUNK_BYTES", limit)
    x, w = arrays(setting[0])
    op = operation(setting, x, w)
    ct = jnp.sin(jnp.arange(4.0 * op.size_out[0] * op.size_out[1] * 5))
    ct = ct.reshape(4, *op.size_out, 5)
    expected = xla_convolution.weight_gradient(op, x, ct)
    for found in (
        cpu_convolution.weight_gradient_by_taps(op, x, ct),
        cpu_convolution.weight_gradient_of_padded(op, x, ct),
        cpu_convolution.weight_gradient_in_training(op, x, ct),
    ):
        atol = 1e-12 * abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
