"""What computes the operators of training is checked on the machine at hand."""

import jax

from afgan_jax.signal.backends import pallas_selftest
from afgan_jax.training import implementations


def test_pallas_that_cannot_be_used_is_replaced_with_a_word(monkeypatch, caplog):
    assert implementations.usable("xla") == "xla" and not caplog.text
    assert implementations.usable("pallas") == "xla"
    assert (
        "implementation=pallas: it is for TPUs, this is a cpu; using implementation=xla"
        in caplog.text
    )
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(pallas_selftest, "fault", lambda: "it is wrong")
    assert implementations.usable("pallas") == "xla" and "it is wrong" in caplog.text
    monkeypatch.setattr(pallas_selftest, "fault", lambda: None)
    assert implementations.usable("pallas") == "pallas"
