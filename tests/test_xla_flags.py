"""XLA is passed flags that it knows, and users are told of others in one line."""

import subprocess
import sys

import pytest
from processes import ROOT

from afgan_jax import xla_flags
from afgan_jax.__main__ import main

DEVICES = "--xla_force_host_platform_device_count=2"
UNKNOWN = "--xla_no_such_flag=1"


def test_unknown_flags_are_left_out_and_known_ones_kept():
    assert xla_flags.known([UNKNOWN, DEVICES, "--xla_no_such_flag"]) == [DEVICES]
    assert xla_flags.known([DEVICES.partition("=")[0]])
    assert not xla_flags.known([DEVICES.replace("_count", "_cou")])


def test_without_libraries_to_look_in_every_flag_is_kept(monkeypatch):
    monkeypatch.setattr(xla_flags, "_libraries", lambda: [])
    xla_flags._is_known.cache_clear()
    assert xla_flags.known([UNKNOWN]) == [UNKNOWN]
    xla_flags._is_known.cache_clear()


def test_asking_does_not_import_jax():
    code = (
        "import sys; from afgan_jax import xla_flags;"
        f"assert xla_flags.known(['{DEVICES}']);"
        "assert not {'jax', 'jaxlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("environment", ["", DEVICES, "a_file_of_flags"])
def test_known_flags_and_files_pass(environment):
    xla_flags.check(environment)


def test_a_verb_names_an_unknown_flag_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", f"{DEVICES} {UNKNOWN}")
    assert main(["generate", "--run=nowhere"]) == 2
    error = capsys.readouterr().err
    assert error.endswith("the installed XLA does not know --xla_no_such_flag\n")
    assert error.count("\n") == 1
