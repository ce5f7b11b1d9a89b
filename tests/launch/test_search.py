"""The search: its variants are settings, and what is measured is not trained again."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from afgan_jax.assembly import settings

FILE = Path(__file__).parents[2] / "launch" / "search.py"


@pytest.fixture(scope="module")
def search():
    spec = importlib.util.spec_from_file_location("search", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("config, same", [("earth32", 0), ("earth64", 2)])
def test_every_variant_is_a_setting_that_differs(search, config, same):
    """At 64 pixels two are what the config has."""
    found = {}
    for name, line in search.VARIANTS.items():
        configuration, *flags = line.split()
        pairs = [flag.removeprefix("--config.").split("=", 1) for flag in flags]
        loaded = settings.load(f"{config}:{configuration}", dict(pairs))
        found[name] = json.dumps(loaded, sort_keys=True, default=str)
    assert len(set(found.values())) == len(found) - same


def test_what_is_measured_is_not_trained_again(search, tmp_path, monkeypatch, capsys):
    trained = []

    def trial(given, name, seed, core):
        trained.append((name, seed, core))
        return {"kimg": 8.0, search.METRIC: 100.0 + len(name) + seed}

    monkeypatch.setattr(search, "trial", trial)
    monkeypatch.setattr(search, "floor", lambda config: {search.METRIC: 4.5})
    monkeypatch.setattr(
        sys, "argv", ["search.py", f"--workdir={tmp_path}", "--seeds=2"]
    )
    monkeypatch.setattr(search, "VARIANTS", {"t": "t", "t-ada": "t"})
    sys.argv += ["--only=t-ada"]
    assert search.main() == 0
    sys.argv[-1] = "--only=t,t-ada"
    assert search.main() == 0
    assert sorted(what[:2] for what in trained) == [
        (name, seed) for name in ("t", "t-ada") for seed in (0, 1)
    ]
    assert {core for *_, core in trained} <= os.sched_getaffinity(0)
    table = capsys.readouterr().out.splitlines()[-3:]
    assert table == [
        "| `floor` | 4.5 | 4.5 | 0.0 |",
        "| `t` | 101.5 | 101.0, 102.0 | 8.0 |",
        "| `t-ada` | 105.5 | 105.0, 106.0 | 8.0 |",
    ]
    sys.argv[-1] = "--only=x"
    with pytest.raises(SystemExit):
        search.main()
    assert "--only=x is unknown: use of t, t-ada" in capsys.readouterr().err


def test_processor_time_is_that_of_all_threads(search):
    program = "import hashlib, threading\n"
    program += "work = lambda: [hashlib.sha256(bytes(10**7)) for _ in range(10**6)]\n"
    program += "[threading.Thread(target=work).start() for _ in range(2)]"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        begun = time.monotonic()
        while search.processor_s(process) < 0.5:
            assert time.monotonic() < begun + 60
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
