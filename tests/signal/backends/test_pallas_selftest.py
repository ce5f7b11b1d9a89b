"""The kernel for TPUs is compared with banded matrices before it is used."""

import pytest

from afgan_jax.signal.backends import pallas_selftest, pallas_tpu


@pytest.mark.slow
def test_kernel_is_tested_before_it_is_trusted(monkeypatch):
    assert pallas_selftest.fault() is None
    right = pallas_tpu.filtered_vjp
    monkeypatch.setattr(pallas_tpu, "filtered_vjp", lambda *a: 1.01 * right(*a))
    assert pallas_selftest.fault().startswith("gradients are off by 0.01")

    def broken(*_):
        raise RuntimeError("no such\nchip")

    monkeypatch.setattr(pallas_tpu, "filtered", broken)
    assert pallas_selftest.fault() == "RuntimeError: no such chip"
