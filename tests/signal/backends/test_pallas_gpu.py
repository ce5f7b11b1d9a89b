"""The kernel for NVIDIA GPUs, run step by step on CPU.

Copies, tensor cores and registers are those of plain XLA, but in one test of Mosaic's
own simulation; tests/bench/test_cuda_kernels.py compiles the real ones.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filtered_cases import CASES, SETTINGS, SLOW, operation

from afgan_jax.bench import forms
from afgan_jax.signal import nonlinearity
from afgan_jax.signal.activations import Activation
from afgan_jax.signal.backends import (
    dispatch,
    pallas_gpu,
    pallas_gpu_plan,
    pallas_gpu_units,
)
from afgan_jax.signal.backends import polyphase_activation as slices

# As in the oracle.
LRELU = Activation("lrelu", 2**0.5, 0.2)


def both(implementation, op, x, ct) -> list[np.ndarray]:
    found = implementation.filtered(op, x), implementation.filtered_vjp(op, x, ct)
    assert all(a.dtype == x.dtype for a in found)
    return [np.asarray(a, np.float64) for a in found]


def arrays(op, batch: int, channels: int, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    sizes = op.up.size_in, op.down.size_out
    return [
        jnp.asarray(rng.normal(size=(batch, *size, channels)), dtype) for size in sizes
    ]


@pytest.mark.parametrize("setting", CASES)
def test_kernel_agrees_with_slices(setting):
    """In float32, whose rounding both share: to 1e-6 of the largest."""
    op = operation(setting)
    x, ct = arrays(op, 2, 3)
    for a, e in zip(both(pallas_gpu, op, x, ct), both(slices, op, x, ct)):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-6 * np.abs(e).max())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "name, size",
    [
        ("separable", (9, 61)),
        pytest.param("radial", (9, 61), marks=pytest.mark.slow),
        pytest.param("up4_crop", (9, 35), marks=pytest.mark.slow),
    ],
)
def test_odd_images_agree_with_float64(name, size, dtype):
    """Inner maps are rounded to the dtype, and values near 0 may change slope."""
    op = operation((SETTINGS | SLOW)[name], size)
    op = dataclasses.replace(op, activation=LRELU)
    x, ct = arrays(op, 1, 33, jnp.dtype(dtype))
    found = both(pallas_gpu, op, x, ct)
    exact = forms.exact(op, np.float64(x), np.float64(ct))
    allowed = {"float32": 1e-6, "bfloat16": 2e-2, "float16": 5e-3}[dtype]
    for a, e in zip(found, exact):
        assert np.linalg.norm(a - e) < allowed * np.linalg.norm(e)


def test_an_image_is_divided_into_strips_and_chunks(monkeypatch):
    monkeypatch.setattr(pallas_gpu_plan, "PROGRAMS", 6)
    monkeypatch.setattr(pallas_gpu_plan, "CORE_BYTES", 2**30)
    op = operation(SETTINGS["separable"], (7, 131))
    plan = pallas_gpu_plan.make_plan([op.up], op.down, 1e-7, 1, 1)
    assert len(plan.starts) == 3 and plan.chunks == 2
    assert plan.starts[-1] + plan.columns == op.down.size_out[1]
    x, ct = arrays(op, 1, 40)
    for a, e in zip(both(pallas_gpu, op, x, ct), both(slices, op, x, ct)):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-6 * np.abs(e).max())


@pytest.mark.slow
def test_threads_and_copies_do_not_race():
    """In Mosaic's simulation, which is in JAX 0.10 and later."""
    pytest.importorskip("jax._src.pallas.mosaic_gpu.interpret.params")
    from jax._src.pallas.mosaic_gpu.interpret import gpu_callbacks

    op = operation(SETTINGS["separable"], (5, 9))
    x, ct = arrays(op, 1, 3)
    with pallas_gpu_units.compiling_for("simulated"):
        found = both(pallas_gpu, op, x, ct)
    assert not gpu_callbacks.get_races().races_found
    for a, e in zip(found, both(slices, op, x, ct)):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-6 * np.abs(e).max())


@pytest.mark.parametrize(
    "setting, dtype, hopper, blackwell",
    [
        ("separable", "bfloat16", True, True),
        ("radial", "float16", True, True),
        ("up4_crop", "bfloat16", True, True),
        ("separable", "float32", False, False),
        ("no_filters", "bfloat16", True, False),
        ("softplus", "bfloat16", False, False),
        ("up3_down2", "bfloat16", False, False),
    ],
)
def test_kernel_is_taken_by_cards_that_can_run_it(setting, dtype, hopper, blackwell):
    op = operation((SETTINGS | SLOW)[setting])
    shape = (1, *op.up.size_in, 3)
    choose = functools.partial(
        dispatch.choose, "filtered", op, "cuda", shape, jnp.dtype(dtype)
    )
    for card, is_taken in (("hopper", hopper), ("blackwell", blackwell), (None, False)):
        with pallas_gpu_units.compiling_for(card):
            for wish in ("fused", "fused_gpu"):
                assert choose(wish) == ("fused_gpu" if is_taken else "slices")
            assert choose(None) == "slices"


@pytest.mark.skipif(jax.__version_info__ < (0, 10), reason="Mosaic GPU is older")
@pytest.mark.parametrize("card", [None, "hopper"])
def test_programs_for_gpus_have_the_kernel_where_there_is_a_card(card):
    op = operation(SETTINGS["separable"])
    op = dataclasses.replace(op, implementation="fused")
    x = jax.ShapeDtypeStruct((1, *op.up.size_in, 3), jnp.bfloat16)
    with pallas_gpu_units.compiling_for(card):
        traced = jax.jit(lambda x: nonlinearity.apply(op, x)).trace(x)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert ("mosaic_gpu" in text) == (card is not None)
