"""Kernels are compared with banded matrices before they are used."""

import pytest

from afgan_jax.signal.backends import pallas_gpu, pallas_selftest, pallas_tpu


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [pallas_tpu, pallas_gpu])
def test_kernel_is_tested_before_it_is_trusted(kernel, monkeypatch):
    assert pallas_selftest.fault(kernel) is None
    right = kernel.filtered_vjp
    monkeypatch.setattr(kernel, "filtered_vjp", lambda *a: 1.06 * right(*a))
    assert pallas_selftest.fault(kernel).startswith("gradients are off by 0.06")

    def broken(*_):
        raise RuntimeError("no such\nchip")

    monkeypatch.setattr(kernel, "filtered", broken)
    assert pallas_selftest.fault(kernel) == "RuntimeError: no such chip"
