"""The trace of a few steps: which ones, and what a run leaves."""

import gzip
import json

import jax
import pytest
from training.smoke import SMOKE, settings

from afgan_jax.__main__ import main as cli_main
from afgan_jax.training import trace


def first_window(interval: int, tick: int, first: int, last: int) -> int | None:
    """Where a trace would begin, by brute force over steps with ticks every `tick`."""
    for index in range(first + interval + 1, last):
        end = min(first + tick * ((index - first) // tick + 1), last)
        if trace.is_window(index, end - index, interval):
            return index
    return None


@pytest.mark.parametrize("interval", [1, 2, 4, 16])
@pytest.mark.parametrize("tick", [5, 6, 7, 8, 16, 20, 125])
def test_every_run_that_is_long_enough_has_one_place(interval, tick):
    enough = 2 * interval + 2 * trace.STEPS
    trace.check(tick_kimg=0.04, batch_size=8, interval=interval, left=enough)
    for first in range(2 * interval):
        for more in range(tick + 1):
            begin = first_window(interval, tick, first, first + enough + more)
            steps = range(begin, begin + trace.STEPS)
            assert any(step % interval == 0 for step in steps)
            assert (begin - first) // tick == (steps[-1] - first) // tick


def test_a_run_with_no_place_for_a_trace_is_refused():
    fine = {"tick_kimg": 0.04, "batch_size": 8, "interval": 4, "left": 18}
    with pytest.raises(
        ValueError, match="train.tick_kimg=0.03 is too short .* make it 0.04"
    ):
        trace.check(**fine | {"tick_kimg": 0.03})
    with pytest.raises(ValueError, match="takes 18 steps.* 17 are left"):
        trace.check(**fine | {"left": 17})


@pytest.mark.slow
def test_profiled_run_leaves_a_trace_of_five_steady_steps(images, tmp_path, capsys):
    """Of 18, with ticks of 8, and R1 at every 4th: the first in which all is right."""
    options = settings(images, 0.144) | {"train.tick_kimg": 0.064}
    flags = [f"--config.{name}={value}" for name, value in options.items()]
    workdir = tmp_path / "run"
    places = [f"--config={SMOKE}", f"--workdir={workdir}"]
    assert cli_main(["train", *places, "--profile", *flags]) == 0
    text = capsys.readouterr().err
    (line,) = [line for line in text.splitlines() if line.startswith("profile: ")]
    assert "traced 5 steps from 8;" in line and f"--logdir={workdir}/profile" in line
    (file,) = workdir.glob("profile/plugins/profile/*/perfetto_trace.json.gz")
    assert str(file) in line
    (xplane,) = file.parent.glob("*.xplane.pb")
    assert xplane.stat().st_size > 0
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    steps = [int(e["args"]["step_num"]) for e in events if e.get("name") == "train"]
    assert sorted(steps) == [8, 9, 10, 11, 12]
    names = {event.get("name", "") for event in events}
    assert not any("backend_compile" in n or "save_png" in n for n in names)
    shown = b"".join(p.read_bytes() for p in (workdir / "events").iterdir())
    for name in ("reals.png", "fakes_init.png", "fakes000000.png"):
        assert (workdir / name).read_bytes() in shown
    nimgs = [
        json.loads(x)["nimg"]
        for x in (workdir / "stats.jsonl").read_text().splitlines()
    ]
    assert nimgs == [8, 64, 128, 144]
    with pytest.raises(RuntimeError, match="No profile started"):
        jax.profiler.stop_trace()


def test_profile_and_preview_exclude_each_other(capsys):
    flags = [f"--config={SMOKE}", "--workdir=x", "--profile", "--preview-augment=1"]
    assert cli_main(["train", *flags]) == 2
    assert "--profile needs training: leave out" in capsys.readouterr().err
