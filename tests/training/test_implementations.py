"""What computes the operators of training is checked on the machine at hand."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest
from training import smoke

from afgan_jax.assembly import settings as assembled
from afgan_jax.bench import memory
from afgan_jax.networks import discriminator
from afgan_jax.runs import config
from afgan_jax.signal.backends import pallas_gpu_units, pallas_selftest, pallas_tpu
from afgan_jax.training import implementations


def test_pallas_that_cannot_be_used_is_replaced_with_a_word(monkeypatch, caplog):
    assert implementations.usable("xla", "float32") == "xla" and not caplog.text
    assert implementations.usable("pallas", "float32") == "xla"
    assert (
        "implementation=pallas: it is for TPUs and GPUs, this is a cpu;"
        " using implementation=xla" in caplog.text
    )
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    found = {pallas_tpu: "it is wrong"}
    monkeypatch.setattr(pallas_selftest, "fault", found.get)
    assert (
        implementations.usable("pallas", "float32") == "xla"
        and "it is wrong" in caplog.text
    )
    found.clear()
    assert implementations.usable("pallas", "float32") == "pallas"


@pytest.mark.parametrize(
    "program, fault",
    [
        ("pass", None),
        ("print('a line of another program')", None),
        ("print('fault of the kernel: it is wrong')", "it is wrong"),
        (
            "import os, sys; print('F0 Check failed: x\\n@ 0x7f', file=sys.stderr);"
            " sys.stderr.flush(); os.abort()",
            "its self-test ends with -6: F0 Check failed: x",
        ),
        ("import os; os.abort()", "its self-test ends with -6: nothing was said"),
        (
            "raise ValueError('no card')",
            "its self-test ends with 1: ValueError: no card",
        ),
        ("import time; time.sleep(60)", "its self-test takes more than 1 s"),
    ],
)
def test_process_that_fails_leaves_this_one_alone(program, fault, monkeypatch):
    run = subprocess.run

    def instead(command, **how):
        assert command[1:] == ["-m", "afgan_jax.signal.backends.pallas_selftest"]
        assert how["env"]["CUDA_VISIBLE_DEVICES"] == "5"
        paths = how["env"]["PYTHONPATH"].split(os.pathsep)
        assert (pathlib.Path(paths[0]) / "afgan_jax").is_dir()
        return run([sys.executable, "-c", program], **how)

    monkeypatch.setattr(subprocess, "run", instead)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    monkeypatch.setattr(implementations, "SECONDS", 1 if "sleep" in program else 60)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pallas_gpu_units.compiling_for("hopper"):
        assert implementations.fault() == fault


def test_float32_is_told_not_to_be_for_the_kernel_of_gpus(monkeypatch, caplog):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(implementations, "fault", lambda: None)
    assert implementations.usable("pallas", "bfloat16") == "pallas"
    assert "using it" in caplog.text
    caplog.clear()
    assert implementations.usable("pallas", "float32") == "xla"
    assert "on GPUs it is for synthesis.dtype=bfloat16 or float16" in caplog.text


def test_older_cards_are_told(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "for Hopper and Blackwell GPUs, this is a" in implementations.fault()


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
