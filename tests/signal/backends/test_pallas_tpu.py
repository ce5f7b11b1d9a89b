"""The TPU kernel, run step by step on CPU, against the sums of slices of CPUs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filtered_cases import CASES, DOWN, SETTINGS, UP, operation
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from afgan_jax.bench import aot
from afgan_jax.signal import nonlinearity, resample
from afgan_jax.signal.backends import (
    banded,
    dispatch,
    pallas_schedule,
    pallas_tpu,
)
from afgan_jax.signal.backends import polyphase_activation as slices


@pytest.mark.parametrize("setting", CASES)
def test_kernel_agrees_with_slices(setting):
    """In float32, whose rounding both share: to 1e-6 of the largest."""
    op = operation(setting)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 11, 13, 3)), jnp.float32)
    ct = jnp.asarray(rng.normal(size=(2, *op.down.size_out, 3)), jnp.float32)
    found = jax.jit(functools.partial(pallas_tpu.filtered, op))(x)
    expected = jax.jit(functools.partial(slices.filtered, op))(x)
    back = jax.jit(functools.partial(pallas_tpu.filtered_vjp, op))(x, ct)
    expected_back = jax.jit(functools.partial(slices.filtered_vjp, op))(x, ct)
    for a, e in ((found, expected), (back, expected_back)):
        assert a.dtype == e.dtype and a.shape == e.shape
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-6 * np.abs(e).max())


def test_bfloat16_is_accurate_to_its_own_rounding():
    """Sums are float32 inside: only inputs, inner products and results are rounded."""
    op = operation(SETTINGS["radial"])
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 11, 13, 3)), jnp.bfloat16)
    found = jax.jit(functools.partial(pallas_tpu.filtered, op))(x)
    exact = jax.jit(functools.partial(slices.filtered, op))(x.astype("float32"))
    assert found.dtype == jnp.bfloat16
    error = np.abs(np.asarray(found, np.float32) - exact).max() / np.abs(exact).max()
    assert error < 3 * 2.0**-8


def test_blocks_of_a_band_hold_all_of_it():
    matrices = [
        banded.matrix(op, axis, np.asarray(op.taps[axis]))
        for op in (
            resample.make_resampling((148, 300), UP, up=2, pad=((9, 8), (-5, 3))),
            resample.make_resampling((306, 1044), DOWN, down=2, pad=3),
            resample.make_resampling((150, 17), UP, up=4, pad=(-6, -9)),
        )
        for axis in (0, 1)
    ]
    for matrix in matrices:
        band, row = pallas_schedule.make_band([matrix]), 0
        whole = np.zeros((band.size_out, band.size_in))
        for first, block in zip(band.first, band.blocks, strict=True):
            _, rows, columns = block.shape
            assert (
                columns <= pallas_schedule.DEPTH
                and not (rows | columns | first) % pallas_schedule.SUBLANES
            )
            whole[row : row + rows, first : first + columns] = block[0]
            row += rows
        assert row == band.size_out
        height, width = matrix.shape
        np.testing.assert_array_equal(whole[:height, :width], matrix)
        assert not whole[height:].any() and not whole[:, width:].any()


@pytest.mark.parametrize("name", ["separable", "radial"])
def test_kernel_agrees_with_slices_over_several_blocks(name, monkeypatch):
    monkeypatch.setattr(pallas_schedule, "DEPTH", 32)
    monkeypatch.setattr(pallas_schedule, "SUBLANES", 8)
    op = operation(SETTINGS[name], (3, 40))
    band = pallas_schedule.make_band([banded.matrix(op.down, 1, np.ones(12))])
    assert len(band.blocks) > 2
    x = jnp.asarray(np.random.default_rng(5).normal(size=(1, 3, 40, 2)), jnp.float32)
    ct = jnp.ones((1, *op.down.size_out, 2))
    found = pallas_tpu.filtered(op, x), pallas_tpu.filtered_vjp(op, x, ct)
    expected = (
        slices.filtered(op, x),
        slices.filtered_vjp(op, x, ct),
    )
    for a, e in zip(found, expected):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-6 * np.abs(e).max())


def test_many_channels_are_taken_in_blocks():
    """300 channels make two blocks, the second not full."""
    op = operation(SETTINGS["separable"], (4, 5))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(1, 4, 5, 300)), jnp.float32)
    found = jax.jit(functools.partial(pallas_tpu.filtered, op))(x)
    expected = jax.jit(functools.partial(slices.filtered, op))(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * expected.max())


def test_kernel_is_taken_by_name_with_both_orders_of_gradients():
    f = functools.partial(
        nonlinearity.filtered_lrelu,
        up_filter=UP,
        down_filter=DOWN,
        up=2,
        down=2,
        pad=11,
    )
    x = jnp.asarray(np.random.default_rng(3).normal(size=(1, 6, 7, 2)), jnp.float32)
    bias = jnp.ones(2)

    def penalty(x, **how):
        return jnp.sum(jax.grad(lambda x: jnp.sum(f(x, bias, **how) ** 2))(x) ** 2)

    expected = jax.jit(jax.grad(penalty))(x)
    fused = {"implementation": "fused"}
    run = jax.jit(functools.partial(f, **fused)).trace(x, bias)
    text = run.lower(lowering_platforms=("tpu",)).as_text()
    found = jax.jit(jax.grad(functools.partial(penalty, **fused)))(x)
    assert "tpu_custom_call" in text
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


def test_image_too_large_for_the_chip_is_left_to_xla():
    size = (1, 1024, 1024, 128)
    op = operation(SETTINGS["separable"], size[1:3])
    small = operation(SETTINGS["separable"], (16, 16))
    assert pallas_tpu.is_supported(small, 128, jnp.float32)
    assert not pallas_tpu.is_supported(op, 128, jnp.float32)
    op = dataclasses.replace(op, implementation="fused")
    f = jax.jit(functools.partial(nonlinearity.apply, op))
    shape = jax.ShapeDtypeStruct(size, jnp.float32)
    text = f.trace(shape).lower(lowering_platforms=("tpu",)).as_text()
    assert "tpu_custom_call" not in text


def test_devices_of_a_mesh_work_on_their_own_samples(monkeypatch):
    """Whatever computes them, nothing passes between devices; results stay the same."""
    monkeypatch.setattr(slices, "_CHUNK_BYTES", 1)  # a loop over samples
    op = operation(SETTINGS["separable"], (6, 7))
    x = jnp.asarray(np.random.default_rng(4).normal(size=(8, 6, 7, 2)), jnp.float32)
    mesh = Mesh(np.asarray(jax.devices()[:8]), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))

    def both(op, x):
        y, pull = jax.vjp(functools.partial(nonlinearity.apply, op), x)
        return y, pull(y)

    expected = jax.jit(functools.partial(both, op))(x)
    for name in ("polyphase", "banded", "fused", "fused_gpu"):
        wished = dataclasses.replace(op, implementation=name)
        split = dispatch.split_over(mesh)(functools.partial(both, wished))
        run = jax.jit(split, in_shardings=rows)
        assert aot.count_collectives(run.lower(x).compile().as_text()) == {}
        for a, e in zip(jax.tree.leaves(run(x)), jax.tree.leaves(expected)):
            np.testing.assert_allclose(a, e, rtol=0, atol=1e-6 * np.abs(e).max())


def test_batch_that_does_not_divide_is_left_to_xla():
    """A kernel cannot be divided by the compiler; the rest can."""
    op = operation(SETTINGS["separable"], (6, 7))
    op = dataclasses.replace(op, implementation="fused")
    mesh = Mesh(np.asarray(jax.devices()[:8]), ("data",))
    split = dispatch.split_over(mesh)(nonlinearity.apply)
    for samples, is_taken in ((4, False), (8, True)):
        x = jax.ShapeDtypeStruct((samples, 6, 7, 2), jnp.float32)
        f = jax.jit(lambda x: split(op, x))
        text = f.trace(x).lower(lowering_platforms=("tpu",)).as_text()
        assert ("tpu_custom_call" in text) == is_taken
