"""What computes the operators of training is checked on the machine at hand."""

import jax
import pytest
from training import smoke

from afgan_jax.assembly import settings as assembled
from afgan_jax.bench import memory
from afgan_jax.networks import discriminator
from afgan_jax.runs import config
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


@pytest.mark.slow
@pytest.mark.parametrize("names", [("naive", "xla"), ("xla", "naive")])
def test_updates_of_one_process_are_lowered_as_their_program_asks(names):
    settings = config.load(smoke.SMOKE, {}, assembled.SCHEMA)
    assembled.fill_in(settings)
    D = discriminator.make_discriminator(**settings["discriminator"])
    for name in names:
        settings["updates"]["implementation"] = name
        program = smoke.program(settings)
        arguments = memory.arguments(program, D, 8)
        for update in program.updates.values():
            text = update.lower(*arguments).as_text()
            assert ("feature_group_count = 8" in text) == (name == "naive")
