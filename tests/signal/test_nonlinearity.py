"""Filtered nonlinearities: one definition, two orders of gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.signal import activations, filters, nonlinearity, resample, stages
from afgan_jax.signal.backends import dispatch, polyphase_activation
from afgan_jax.signal.operators import FilteredActivation

pytestmark = pytest.mark.usefixtures("float64")

UP = filters.lowpass(12, 2, 2, 32)
DOWN = filters.lowpass(12, 2, 2.5, 32)
RADIAL = filters.lowpass(12, 2, 2.5, 32, radial=True)
LRELU = activations.Activation("lrelu")
CLAMPED = activations.Activation("lrelu", clamp=0.8)
PAD = ((11, 10), (9, 12))
# (activation, up filter, down filter, up, down, pad)
SETTINGS = {
    "separable": (LRELU, UP, DOWN, 2, 2, PAD),
    "radial_clamped": (CLAMPED, UP, RADIAL, 2, 2, PAD),
    "radial_up": (CLAMPED, RADIAL, DOWN, 2, 2, PAD),
    "up4_down2": (CLAMPED, filters.lowpass(24, 2, 2, 64), DOWN, 4, 2, 14),
    "up2_down4": (LRELU, UP, filters.lowpass(24, 2, 1, 64), 2, 4, (15, 16)),
    "up3_down2": (LRELU, filters.lowpass(9, 2, 2, 48), DOWN, 3, 2, 8),
    "crop": (CLAMPED, UP, DOWN, 2, 2, ((-3, 4), (2, -1))),
    "no_filters": (
        activations.Activation("lrelu", 1.0, 1.0, 1.1),
        None,
        None,
        1,
        1,
        0,
    ),
    "swish": (activations.Activation("swish"), UP, DOWN, 2, 2, PAD),
    "tanh": (activations.Activation("tanh", 1.5), UP, RADIAL, 2, 2, PAD),
}
ALL = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)


def image(n=2, channels=3):
    rng = np.random.default_rng(3)
    return jnp.asarray(rng.normal(size=(n, 11, 13, channels)))


def bias(channels=3):
    return jnp.asarray(np.random.default_rng(4).normal(size=channels))


def from_parts(setting, x, b):
    """The definition: add, upsample, act, filter, decimate."""
    act, up_filter, down_filter, up, down, pad = setting
    fine = resample.upfirdn(x + b, up_filter, up=up, pad=pad, gain=float(up * up))
    return resample.upfirdn(act(fine), down_filter, down=down)


def filtered(setting, x, b):
    act, up_filter, down_filter, up, down, pad = setting
    return nonlinearity.filtered(
        x, act, up_filter, down_filter, bias=b, up=up, down=down, pad=pad
    )


def value_and_gradients(run, x, b):
    """Output, weighted gradient, and gradient of that gradient's squared norm."""

    @jax.jit
    def compute(x, b):
        def weighted(x, b):
            y = run(x, b)
            weights = jnp.cos(jnp.arange(y.size)).reshape(y.shape)
            return jnp.sum(weights * y**2)

        def penalty(x, b):
            return jnp.sum(jax.grad(weighted)(x, b) ** 2)

        both = (0, 1)
        first, second = jax.grad(weighted, both), jax.grad(penalty, both)
        return run(x, b), first(x, b), second(x, b)

    return compute(x, b)


def assert_trees_close(found, expected, tolerance):
    for a, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=tolerance * np.abs(e).max())


@ALL
def test_value_and_both_gradients_follow_the_definition(setting):
    found = value_and_gradients(functools.partial(filtered, setting), image(), bias())
    parts = functools.partial(from_parts, setting)
    assert_trees_close(found, value_and_gradients(parts, image(), bias()), 1e-11)


@pytest.mark.parametrize("name", ["radial_clamped", "up3_down2"])
def test_stages_lead_to_the_same_result(name):
    act, up_filter, down_filter, up, down, pad = SETTINGS[name]
    x, b = image(), bias()
    how = {"up": up, "down": down, "pad": pad}
    found, expected = jax.jit(
        lambda x, b: (
            stages.stages(act, x, b, up_filter, down_filter, **how),
            filtered(SETTINGS[name], x, b),
        )
    )(x, b)
    np.testing.assert_allclose(found.out, expected, atol=1e-12)
    np.testing.assert_array_equal(found.activated, act(found.upsampled))
    assert found.upsampled.shape == found.filtered.shape


@ALL
def test_implementations_agree(setting):
    """To the 1e-7 at which "banded" drops parts of a radial filter."""
    act, up_filter, down_filter, up, down, pad = setting
    x = image()
    to_fine = resample.make_resampling(
        x.shape[1:3], up_filter, up=up, pad=pad, gain=float(up * up)
    )
    to_coarse = resample.make_resampling(to_fine.size_out, down_filter, down=down)
    op = FilteredActivation(act, to_fine, to_coarse)
    ct = jnp.cos(jnp.arange(2.0 * 3 * np.prod(to_coarse.size_out)))
    ct = ct.reshape(2, *to_coarse.size_out, 3)

    @jax.jit
    def compute(x, ct):
        forward = dispatch.IMPLEMENTATIONS["filtered"]
        backward = dispatch.IMPLEMENTATIONS["filtered_gradient"]
        return [
            (forward[name](op, x), backward[name](op, x, ct))
            for name in ("banded", "polyphase", "blocks", "depthwise", "slices")
        ]

    expected, *others = compute(x, ct)
    for found in others:
        assert_trees_close(found, expected, 1e-6)


@functools.cache
def at_once(channels: int):
    """Values and gradients without chunks."""
    run = functools.partial(filtered, SETTINGS["radial_clamped"])
    return value_and_gradients(run, image(4, channels), bias(channels))


CHANNEL = 11 * 13 * 8  # bytes of a map


@pytest.mark.slow
@pytest.mark.parametrize(
    "limit, channels",
    [(1, 7), (1, 37), (16 * CHANNEL, 32), (16 * CHANNEL, 37), (40 * CHANNEL, 37)],
)
def test_working_in_chunks_changes_nothing(limit, channels, monkeypatch):
    """`limit` bytes hold less than 16 channels, 16 channels, or two samples of 16.

    Channels may be fewer, a multiple, or leave a chunk that overlaps.
    """
    run = functools.partial(filtered, SETTINGS["radial_clamped"])
    x, b = image(4, channels), bias(channels)
    expected = at_once(channels)
    loops = []
    monkeypatch.setattr(polyphase_activation, "_CHUNK_BYTES", limit)
    loop = jax.lax.fori_loop
    monkeypatch.setattr(jax.lax, "fori_loop", lambda *a: loops.append(a) or loop(*a))
    jax.clear_caches()
    found = value_and_gradients(run, x, b)
    assert loops or channels == 7
    assert_trees_close(found, expected, 1e-12)


def test_clamp_acts_before_the_down_filter():
    """A low-passed step overshoots."""
    step = jnp.where(jnp.arange(32) < 16, -100.0, 100.0)
    x = jnp.broadcast_to(step[:, None], (1, 32, 32, 1))
    act = activations.Activation("linear", clamp=0.8)
    sharp = filters.lowpass(12, 6, 3, 32)
    y = filtered((act, UP, sharp, 2, 2, PAD), x, jnp.zeros(1))[0, 8:-8, 8:-8]
    assert 0.85 < np.abs(y).max() < 0.95
