"""Results do not depend on JAX's process-wide settings, and refusals are one line."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from training import smoke

from afgan_jax import jax_settings
from afgan_jax.assembly import settings as assembled
from afgan_jax.assembly import training
from afgan_jax.bench import memory
from afgan_jax.runs import config

ROOT = Path(__file__).parents[1]
DISTURBED = {
    "JAX_ENABLE_X64": "1",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_TRANSFER_GUARD": "disallow",
}
TRANSLATION = {
    "augment.mode": "fixed",
    "augment.multipliers": {"noise": 1.0, "cutout": 1.0},
}
ROTATION = {
    "generator.synthesis.conv_kernel": 1,
    "generator.synthesis.radial": True,
    "generator.synthesis.symmetry": "p4",
    "losses.blur_init_sigma": 2.0,
    "losses.blur_fade_kimg": 1.0,
}
STYLEGAN2 = {
    "generator.synthesis.kind": "stylegan2",
    "generator.mapping.c_dim": 2,
    "discriminator.c_dim": 2,
    "losses.pl_weight": 2.0,
    "losses.style_mixing_prob": 0.9,
}
PAIRS = {
    "losses.objective": "relativistic",
    "updates.D_reg_interval": None,
    "burn_in.kimg": 1.0,
    "burn_in.gamma": 1.0,
    "burn_in.G_lr": 0.01,
    "burn_in.D_lr": 0.01,
    "burn_in.beta2": 0.9,
    "burn_in.ema_kimg": 0.0,
}


def run(*command: str, **variables: str) -> subprocess.CompletedProcess:
    """The end of a Python process with these environment variables."""
    variables |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    one = "--xla_force_host_platform_device_count=1"
    variables |= {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {one}"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow  # a minute: compiles a training
def test_results_are_the_same_bits_under_any_settings(tmp_path):
    # The programs are the same, too: the second process finds them compiled.
    kept = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    kept |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    found = []
    for name, variables in (("usual", kept), ("disturbed", kept | DISTURBED)):
        done = run("tests/results.py", str(tmp_path / name), **variables)
        assert done.returncode == 0, done.stderr
        assert "failed" not in done.stderr  # such as a metric
        found.append(json.loads(done.stdout.splitlines()[-1]))
    assert found[0] == found[1]


@pytest.mark.parametrize("changes", [STYLEGAN2, TRANSLATION, ROTATION, PAIRS])
def test_updates_state_their_dtypes_and_ranks(changes):
    settings = config.load(smoke.SMOKE, changes, assembled.SCHEMA)
    setup, program = training.build(settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.numpy_rank_promotion("raise"))
        stack.enter_context(jax.numpy_dtype_promotion("strict"))
        stack.enter_context(jax_settings.enable_x64(True))
        arguments = memory.arguments(program, setup.D, 8)
        for name, update in program.updates.items():
            operations = str(update.trace(*arguments).jaxpr).splitlines()
            wide = [line for line in operations if re.search(r"[fc]64\[\d", line)]
            assert not wide, (name, wide[0])


def test_a_seed_means_one_key_whatever_the_default():
    usual = jax.random.key_data(jax_settings.key(5))
    with jax.default_prng_impl("rbg"), jax_settings.enable_x64(True):
        for seed in (5, 5 + 2**32, 5 - 2**32):
            key = jax_settings.key(seed)
            assert (jax.random.key_data(key) == usual).all()
            assert jax.random.key_impl(key) == jax_settings.KEYS


def test_keys_are_made_in_one_place():
    made = re.compile(r"random\.(key|PRNGKey|wrap_key_data)\(")
    found = {
        file.name
        for file in (ROOT / "afgan_jax").rglob("*.py")
        if made.search(file.read_text())
    }
    assert found == {"jax_settings.py"}


def test_fixed_gives_programs_of_the_defaults():
    with jax_settings.enable_x64(True), jax.threefry_partitionable(False):
        with jax_settings.fixed():
            assert jax.numpy.ones(2).dtype == np.float32
            draws = jax.random.bits(jax_settings.key(0), (3,))
    assert (draws == jax.random.bits(jax_settings.key(0), (3,))).all()


def test_a_resumed_run_tells_which_settings_of_jax_changed(tmp_path, capsys):
    file = tmp_path / "jax_settings.json"
    training.compare_jax_settings(file)
    with jax.default_matmul_precision("highest"):
        training.compare_jax_settings(file)
        training.compare_jax_settings(file)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("jax_default_matmul_precision was None, now it is highest")
    file.write_text("[")
    training.compare_jax_settings(file)
    assert set(json.loads(file.read_text())) == set(jax_settings.RECORDED)


def test_platforms_that_are_not_there_are_one_line():
    verb = ("-m", "afgan_jax", "train", "--config=smoke", "--workdir=x", "--dry-run")
    done = run(*verb, JAX_PLATFORMS="nonsense")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len([line for line in lines if line.startswith("error: ")]) == 1
    assert lines[-1].startswith("error: JAX_PLATFORMS=nonsense gives no devices (")


def test_a_copy_that_a_guard_forbids_is_one_line():
    with jax.transfer_guard("disallow"), pytest.raises(RuntimeError) as caught:
        jax.jit(abs)(np.ones(3))
    assert jax_settings.refusal(caught.value).startswith("jax_transfer_guard=")
    assert jax_settings.refusal(RuntimeError("another")) is None
