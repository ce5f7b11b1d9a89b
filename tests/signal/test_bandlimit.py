"""Ready-made resamplings and nonlinearities: definitions, places, equivariance."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from afgan_jax.signal import activations, bandlimit, batching, convolve, filters

pytestmark = pytest.mark.usefixtures("float64")

LRELU = activations.Activation("lrelu")
RADIAL = bandlimit.Design(radial=True)


def image(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def position(size: int, up: int = 1, down: int = 1) -> np.ndarray:
    """Where pixels of a grid up/down times finer lie, in pixels of the first grid."""
    return (np.arange(size) + 0.5) * down / up - 0.5


def weights(f, x_to, x_from, rate: int) -> np.ndarray:
    """[to, from]: f, whose taps are 1 / rate pixels apart, centred at each x_to."""
    f = np.ones(1) if f is None else f
    tap = (np.subtract.outer(x_to, x_from) * rate) + (f.size - 1) / 2
    assert np.allclose(tap, np.rint(tap))  # else grids would not lie on each other
    tap = np.rint(tap).astype(int)
    return np.where((tap >= 0) & (tap < f.size), f[np.clip(tap, 0, f.size - 1)], 0.0)


def activated(x, function, up, down, m, design=bandlimit.DESIGN):
    """The definition by dense matrices, float64: [H W] -> [H2 W2]."""
    rise, fall = up * m, down * m
    flat = bandlimit.Design(design.cutoff, design.stopband, design.taps)
    f, g = bandlimit.make_filter(flat, rise), bandlimit.make_filter(design, fall)
    out = [math.ceil(n * up / down) for n in x.shape]
    # The fine grid begins before the canvas and ends after it, as far as g reaches.
    reach = 0 if g is None else g.shape[0]
    fine = [np.arange(-reach, n * rise + reach + fall) for n in x.shape]
    fine = [(j + 0.5) / rise - 0.5 for j in fine]
    A, B = (weights(f, p, position(n), rise) for p, n in zip(fine, x.shape))
    z = function(rise**2 * A @ np.asarray(x) @ B.T)
    C, D = (weights(g, position(n, up, down), p, rise) for n, p in zip(out, fine))
    return C @ z @ D.T


def some_slow(cases, fast: int):
    """Cases of a test, all but the first ones for the slow stage."""
    return [
        pytest.param(*case, marks=[pytest.mark.slow] if i >= fast else [])
        for i, case in enumerate(cases)
    ]


FACTORS = [(1, 2, 2), (2, 3, 1), (1, 1, 2), (3, 1, 2), (2, 1, 1), (1, 3, 3), (5, 2, 1)]


@pytest.mark.parametrize("up, down, m", some_slow(FACTORS, 2))
def test_activation_equals_its_definition_at_odd_sizes(up, down, m):
    x = image(7, 11)
    rates = {"up": up, "down": down, "oversampling": m}
    run = jax.jit(lambda x: bandlimit.activate(x, jnp.tanh, **rates))
    y = run(x[None, :, :, None])
    expected = activated(x, np.tanh, up, down, m)
    np.testing.assert_allclose(y[0, :, :, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [1, 3, pytest.param(5, marks=pytest.mark.slow)])
def test_resampling_is_the_activation_by_nothing(factor):
    x = image(7, 11)
    for function, up, down in (
        (bandlimit.upsample, factor, 1),
        (bandlimit.downsample, 1, factor),
    ):
        run = jax.jit(function, static_argnums=1)
        y = run(x[None, :, :, None], factor)[0, :, :, 0]
        expected = activated(x, lambda z: z, up, down, 1)
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


def test_size_asks_for_pixels_in_the_same_places():
    """A decoder comes back to an odd size; more pixels lie beyond, fewer are cut."""

    @jax.jit
    def compute(x):
        half = bandlimit.downsample(x)
        back = bandlimit.upsample(half), bandlimit.upsample(half, size=(13, 9))
        whole = bandlimit.downsample(x, 3), bandlimit.downsample(x, 3, size=(3, 7))
        return half, back, whole

    half, (whole, back), (third, other) = compute(image(1, 13, 9, 2))
    assert half.shape == (1, 7, 5, 2) and third.shape == (1, 5, 3, 2)
    np.testing.assert_allclose(back, whole[:, :13, :9], rtol=0, atol=1e-14)
    np.testing.assert_allclose(other[:, :, :3], third[:, :3], rtol=0, atol=1e-14)
    assert other.shape == (1, 3, 7, 2) and np.abs(other[:, :, 6:]).max() < 1e-6


def test_leading_dimensions_are_as_many_images():
    x = image(2, 3, 6, 7, 4)
    w = image(3, 3, 4, 4, seed=1)
    for function in (
        bandlimit.upsample,
        bandlimit.downsample,
        bandlimit.lowpass,
        functools.partial(bandlimit.activate, function=jnp.tanh, bias=w[0, 0, 0]),
        lambda x: bandlimit.activate(x, jax.nn.leaky_relu, w[0, 0, 0]),
        lambda x: convolve.conv(x, w, pad=1),
    ):
        y, one = jax.jit(lambda x, f=function: (f(x), f(x[1, 2])))(x)
        assert y.shape[:2] == (2, 3)
        np.testing.assert_allclose(y[1, 2], one, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"shape \(7, 4\) holds no images: give"):
        batching.over_images(lambda x: x, x[0, 0, 0])


FUNCTIONS = [(jnp.tanh,), (jax.nn.silu,), (lambda x: x * jnp.sin(x),)]


@pytest.mark.parametrize("function", some_slow(FUNCTIONS, 0))
def test_first_and_second_derivatives_are_those_of_differences(function):
    """Of any function; on the definition's own, test_nonlinearity compares them."""

    @jax.jit
    def f(x, b):
        return bandlimit.activate(x, function, bias=b, down=2)

    check_grads(f, (image(1, 5, 6, 2), image(2, seed=1)), 2, ["rev"], eps=1e-4)


@pytest.mark.slow
def test_parameters_of_a_function_have_derivatives():
    def snake(x, a):
        return x + jnp.sin(a * x) ** 2 / a

    @jax.jit
    def f(x, a):
        return bandlimit.activate(x, snake, a)

    check_grads(f, (image(1, 5, 6, 2), 1 + image(2, seed=1) ** 2), 2, ["rev"], eps=1e-4)
    x, a = image(1, 5, 6, 2), jnp.full(2, 0.7)
    fixed = jax.jit(lambda x: bandlimit.activate(x, lambda x: snake(x, 0.7)))(x)
    np.testing.assert_allclose(f(x, a), fixed, atol=1e-12)


def test_parameters_leave_half_precision_alone():
    """And their gradients are summed in their own."""
    x = jnp.ones((4, 64, 64, 1), jnp.bfloat16)
    slope = jnp.float32(0.5)

    def total(slope):
        y = bandlimit.activate(x, lambda x, a: a * x, slope)
        assert y.dtype == jnp.bfloat16
        return jnp.sum(y.astype(jnp.float32))

    value, gradient = jax.jit(jax.value_and_grad(total))(slope)
    assert float(gradient) == pytest.approx(float(value) / 0.5, rel=0.02)


# A period of pixels, how much of its repetition lies around it, and a shift.
SIZE, PAD, MOVED = 30, 30, 0.37


def shifted(x, pixels: float):
    """Periodic [1 H W C] moved right, and down by 0.7 times as much, by phase."""
    h, w = x.shape[1:3]
    turns = 0.7 * np.fft.fftfreq(h)[:, None] + np.fft.fftfreq(w)
    phase = np.exp(-2j * np.pi * pixels * turns)[..., None]
    return jnp.asarray(
        np.fft.ifft2(np.fft.fft2(x, axes=(1, 2)) * phase, axes=(1, 2)).real
    )


def decibels(function, rate: float, band: float = 0.5) -> float:
    """How far function(moved x) agrees with the moved function(x), on a torus.

    x is white in the disc of `band` times the Nyquist frequency.
    """
    f = 2 * np.fft.fftfreq(SIZE)
    disc = (np.hypot(f[:, None], f) < band)[..., None]
    x = np.fft.ifft2(
        np.fft.fft2(image(1, SIZE, SIZE, 4), axes=(1, 2)) * disc, axes=(1, 2)
    )
    x = jnp.asarray(x.real / x.real.std())

    def periodic(x):
        around = jnp.pad(x, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="wrap")
        first, size = round(PAD * rate), round(SIZE * rate)
        return function(around)[:, first : first + size, first : first + size]

    found, still = jax.jit(lambda x, y: (periodic(x), periodic(y)))(
        shifted(x, MOVED), x
    )
    expected = np.asarray(shifted(still, MOVED * rate))
    return 10 * math.log10(np.var(expected) / np.mean((found - expected) ** 2))


def plain(x):
    return LRELU(x)


def every(x, step: int):
    return x[:, ::step, ::step]


def repeated(x, times: int):
    return x.repeat(times, axis=1).repeat(times, axis=2)


# piece: (function, rate, band of its input, dB it has at least, what ordinary networks
# do instead). Measured: 44, 44, 36, 45, 52, 45, 55 dB; instead 21, 7, 3, 3, 20, 10 dB.
PIECES = {
    "lrelu": (lambda x: bandlimit.activate(x, LRELU), 1, 0.5, 40, LRELU),
    "upsample 2": (bandlimit.upsample, 2, 0.5, 40, lambda x: repeated(x, 2)),
    "downsample 3": (
        *(lambda x: bandlimit.downsample(x, 3), 1 / 3, 0.95, 33),
        lambda x: every(x, 3),
    ),
    "downsample 5, radial": (
        *(lambda x: bandlimit.downsample(x, 5, RADIAL), 1 / 5, 0.95, 40),
        lambda x: every(x, 5),
    ),
    "tanh": (lambda x: bandlimit.activate(x, jnp.tanh), 1, 0.5, 48, jnp.tanh),
    "gelu, down 2": (
        *(lambda x: bandlimit.activate(x, jax.nn.gelu, down=2), 1 / 2, 0.5, 40),
        lambda x: every(jax.nn.gelu(x), 2),
    ),
    "tanh, 2/3": (
        *(lambda x: bandlimit.activate(x, jnp.tanh, up=2, down=3), 2 / 3, 0.5, 48),
        lambda x: every(repeated(jnp.tanh(x), 2), 3),
    ),
}


@pytest.mark.parametrize("piece", some_slow([(name,) for name in PIECES], 3))
def test_pieces_follow_a_shift_by_part_of_a_pixel(piece):
    function, rate, band, least, instead = PIECES[piece]
    assert decibels(function, rate, band) > least
    assert decibels(instead, rate, band) < least - 15


def test_lowpass_keeps_what_a_coarser_grid_can_hold():
    f = bandlimit.make_filter(bandlimit.DESIGN, 2.5, odd=True)
    assert f.size % 2 == 1
    coarse = 0.5 / 2.5  # its Nyquist frequency, cycles per pixel
    gains = filters.response(f, [0.3 * coarse, 0.7 * coarse], 1.0)
    np.testing.assert_allclose(gains, [1, 0.5], atol=0.03)
    assert np.abs(
        filters.response(f, np.linspace(1.1 * coarse, 0.5, 99), 1.0)
    ).max() < (
        10 ** (-35 / 20)  # the Kaiser rule has 37 dB for it
    )
    x = jnp.zeros((1, 31, 31, 1)).at[0, 15, 15, 0].set(1)
    y = jax.jit(lambda x: bandlimit.lowpass(x, 2.5))(x)[0, :, :, 0]
    np.testing.assert_allclose(y[8:23, 8:23], np.outer(f, f), atol=1e-12)
    np.testing.assert_array_equal(bandlimit.lowpass(x, 1), x)


def test_radial_designs_cut_alike_in_all_directions_with_odd_factors_too():
    for factor in (2, 3):
        f = bandlimit.make_filter(RADIAL, factor)
        assert f.ndim == 2 and f.shape[0] % 2 == factor % 2
        assert np.isfinite(f).all() and f.sum() == pytest.approx(1)
        along = filters.response(f, [0.35], factor)[0]
        x = (np.arange(f.shape[0]) - (f.shape[0] - 1) / 2) / factor
        wave = np.exp(2j * np.pi * 0.35 / np.sqrt(2) * np.add.outer(x, x))
        assert np.sum(f * wave).real == pytest.approx(along, abs=0.02)


@pytest.mark.parametrize(
    "run, message",
    [
        (lambda x: bandlimit.upsample(x, 0), "up=0 must be a whole number of at"),
        (lambda x: bandlimit.downsample(x, -2), "down=-2 must be a whole number"),
        (lambda x: bandlimit.activate(x, jnp.tanh, oversampling=0), "oversampling=0"),
        (lambda x: bandlimit.lowpass(x, 0.5), "factor=0.5 must be at least 1"),
        (
            lambda x: bandlimit.upsample(x, 2, bandlimit.Design(stopband=0.5)),
            r"cutoff=0.7, stopband=0.5, .* is impossible: give 0 < cutoff < stopband",
        ),
        (
            lambda x: bandlimit.upsample(x, 2, bandlimit.Design(lowpass="hann")),
            "lowpass='hann' is unknown",
        ),
    ],
)
def test_impossible_arguments_are_named(run, message):
    with pytest.raises(ValueError, match=message):
        run(jnp.zeros((1, 8, 8, 1)))
