"""Resampling: loops as the oracle, adjoints, and agreement of the implementations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.signal import filters, resample
from afgan_jax.signal.backends import banded, depthwise, polyphase, slices

pytestmark = pytest.mark.usefixtures("float64")

RNG = np.random.default_rng(1)
RADIAL = filters.lowpass(12, 4, 3, 32, radial=True)
# (filter, up, down, pad): separable, radial, asymmetric, cropping, mixed factors
SETTINGS = {
    "none": (None, 1, 1, 0),
    "none_zero_insertion": (None, 2, 3, (1, 2)),
    "row": (RNG.normal(size=5), 1, 1, (2, 2)),
    "row_up": (RNG.normal(size=12), 2, 1, (6, 5)),
    "row_down": (RNG.normal(size=7), 1, 2, (3, 3)),
    "row_up_down": (RNG.normal(size=8), 4, 2, (3, 4)),
    "row_up_down_coprime": (RNG.normal(size=6), 3, 2, (3, 2)),
    "row_per_axis": (RNG.normal(size=4), (2, 1), (1, 3), ((2, 0), (1, 3))),
    "row_shorter_than_the_factor": (RNG.normal(size=2), 4, 3, (1, 3)),
    "row_crop": (RNG.normal(size=6), 2, 2, ((-3, 4), (-1, -2))),
    "radial_up": (RADIAL, 2, 1, (6, 5)),
    "radial_down": (RADIAL, 1, 2, (5, 5)),
    "radial_mixed": (RADIAL, 2, 4, ((7, 5), (-2, 9))),
    "full": (RNG.normal(size=(3, 4)), 1, 1, (1, 2)),
    "full_up_down": (RNG.normal(size=(5, 3)), (2, 3), (3, 2), ((4, 1), (2, 2))),
    "full_shorter_than_the_factor": (RNG.normal(size=(1, 2)), 3, 2, (1, 2)),
}
BOTH = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)


def case(setting, shape=(2, 9, 11, 3), gain=1.7):
    f, up, down, pad = setting
    x = np.random.default_rng(2).normal(size=shape)
    op = resample.make_resampling(shape[1:3], f, up=up, down=down, pad=pad, gain=gain)
    return op, jnp.asarray(x)


def loops(x, f, up, down, pad, gain):
    """Zeros in, padding, convolution, decimation, spelled out with loops."""
    f = np.ones((1, 1)) if f is None else np.outer(f, f) if f.ndim == 1 else f
    (uy, ux), (dy, dx) = resample._pair(up), resample._pair(down)
    (y0, y1), (x0, x1) = resample._pad_pairs(pad)
    n, h, w, c = x.shape
    fine = np.zeros((n, h * uy + y0 + y1 + 40, w * ux + x0 + x1 + 40, c))
    for i in range(h):
        for j in range(w):  # 20 pixels of slack take in what cropping cuts off
            fine[:, i * uy + y0 + 20, j * ux + x0 + 20] = x[:, i, j]
    fine = fine[:, 20:-20, 20:-20]
    kh, kw = f.shape
    out = []
    for i in range(0, fine.shape[1] - kh + 1, dy):
        row = []
        for j in range(0, fine.shape[2] - kw + 1, dx):
            total = np.zeros((n, c))
            for a in range(kh):
                for b in range(kw):
                    total += f[kh - 1 - a, kw - 1 - b] * fine[:, i + a, j + b]
            row.append(total)
        out.append(row)
    return gain * np.array(out).transpose(2, 0, 1, 3)


@BOTH
def test_upfirdn_equals_explicit_loops(setting):
    f, up, down, pad = setting
    _, x = case(setting)
    y = resample.upfirdn(x, f, up=up, down=down, pad=pad, gain=1.7)
    expected = loops(np.asarray(x), f, up, down, pad, 1.7)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


@BOTH
def test_transposed_resampling_is_the_adjoint(setting):
    """<Ux, y> = <x, U'y>, and U'' = U."""
    op, x = case(setting)
    y = jnp.asarray(RNG.normal(size=(2, *op.size_out, 3)))
    left = float(jnp.sum(resample.apply(op, x) * y))
    right = float(jnp.sum(x * resample.apply(op.transposed(), y)))
    assert left == pytest.approx(right, rel=1e-11)
    assert op.transposed().transposed() == op


@BOTH
def test_inner_forms_agree(setting):
    """Banded drops singular values below 1e-7: radial filters agree to that."""
    op, x = case(setting)
    tolerance = 1e-6 if setting[0] is RADIAL else 1e-12
    for spec, image in ((op, x), (op.transposed(), resample.apply(op, x))):
        expected = polyphase.resample(spec, image)
        scale = np.abs(expected).max()
        plain, other = depthwise.resample(spec, image), banded.resample(spec, image)
        np.testing.assert_allclose(plain, expected, rtol=0, atol=1e-12 * scale)
        gpu = slices.resample(spec, image)
        np.testing.assert_allclose(gpu, expected, rtol=0, atol=1e-12 * scale)
        np.testing.assert_allclose(other, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", ["row_up_down", "row_per_axis", "full_up_down"])
def test_first_and_second_gradient_are_those_of_the_banded_form(name):
    op, x = case(SETTINGS[name], (1, 6, 7, 2))

    def penalty(form, x):
        def energy(x):
            return jnp.sum(jnp.sin(form(op, x)) ** 2)

        return jnp.sum(jax.grad(energy)(x) ** 2), jax.grad(energy)(x)

    found = jax.jit(jax.grad(functools.partial(penalty, resample.apply), has_aux=True))
    expected = jax.grad(functools.partial(penalty, banded.resample), has_aux=True)
    for a, b in zip(found(x), jax.jit(expected)(x)):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.abs(b).max())


@pytest.mark.parametrize(
    ("helper", "taps", "size"),
    [("same_size", 11, 16), ("upsample", 12, 32), ("downsample", 12, 8)],
)
def test_helpers_keep_the_canvas_in_place(helper, taps, size):
    """What is done to the mirror image is the mirror image of what is done."""
    f = filters.lowpass(taps, 4, 2, 32)
    x = jnp.asarray(RNG.normal(size=(1, 16, 16, 1)))
    y = getattr(resample, helper)(x, f)
    mirrored = getattr(resample, helper)(x[:, ::-1, ::-1], f)
    assert y.shape == (1, size, size, 1)
    np.testing.assert_allclose(mirrored[:, ::-1, ::-1], y, rtol=0, atol=1e-12)


def test_constant_keeps_its_value_when_upsampled():
    f = filters.lowpass(12, 4, 3, 32)
    y = resample.upsample(jnp.ones((1, 16, 16, 1)), f)[0, 8:-8, 8:-8]
    np.testing.assert_allclose(y, 1, atol=0.01)  # ripple of 12 taps


def test_image_smaller_than_the_filter_is_refused():
    with pytest.raises(ValueError, match="image of 4x4 .* smaller than its 12x12"):
        resample.upfirdn(jnp.zeros((1, 4, 4, 1)), np.ones(12), up=2)


def test_float32_images_stay_float32():
    x = jnp.zeros((1, 8, 8, 1), jnp.float32)
    assert resample.upsample(x, np.ones(4)).dtype == jnp.float32
