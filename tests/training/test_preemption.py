"""Signals end a training where it can go on, in one process or several."""

import json
import os
import signal
import time

import jax
import pytest
from processes import free_address, python, python_twice
from training import counting

from afgan_jax.runs import run_directory
from afgan_jax.training import loop


def train(folder, steps: int, batches=counting.batches, options=None, **program):
    """Trains in this process, on one device; returns the state in the end."""
    with run_directory.Run.create_or_open(folder, {"counting": {}}) as run:
        return loop.train(
            run,
            counting.program(**{"devices": jax.devices()[:1]} | program),
            batches,
            counting.NoSamples(),
            batch_size=counting.BATCH,
            total_kimg=steps * counting.BATCH / 1000,
            **(options or {}),
        )


def signalled(at: int, *numbers: int):
    """Batches; when step `at` is due, this process gets signals."""

    def batches(start):
        for step, batch in enumerate(counting.batches(start), start):
            for number in numbers if step == at + loop.AHEAD else ():
                os.kill(os.getpid(), number)
            yield batch

    return batches


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C as in a terminal; what starts in the background inherits to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def steps_of(folder) -> list[int]:
    with run_directory.Run.open(folder) as run:
        return run.checkpoints.steps()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_step_end_and_saves(tmp_path, capsys, number):
    before = signal.getsignal(number)
    state = train(tmp_path, 20, signalled(3, number))
    assert int(state.step) == 4 and steps_of(tmp_path)[-1] == 4
    assert "stopping: saving at 0.016 kimg\nsaved: " in capsys.readouterr().err
    assert signal.getsignal(number) == before
    state = train(tmp_path, 20)
    assert int(state.step) == 20
    assert float(state.G["params"]["w"]) == counting.weight(20)


def test_a_run_stopped_within_a_tick_has_the_ticks_of_one_that_was_not(tmp_path):
    """So checkpoints and metrics come at the same images."""
    options = {"tick_kimg": 4.5 * counting.BATCH / 1000, "checkpoint_ticks": 2}

    def lines(folder):
        texts = (tmp_path / folder / "stats.jsonl").read_text().splitlines()
        found = [json.loads(text) for text in texts]
        return [(line["nimg"], line["w"]["num"], line["w"]["mean"]) for line in found]

    train(tmp_path / "whole", 30, options=options)
    for at in (7, 20):
        train(tmp_path / "parts", 30, signalled(at, signal.SIGTERM), options)
    train(tmp_path / "parts", 30, options=options)
    whole, parts = lines("whole"), lines("parts")
    assert [line[0] for line in whole] == [line[0] for line in parts]
    differ = [a[0] for a, b in zip(whole, parts, strict=True) if a != b]
    assert differ == [9 * counting.BATCH, 23 * counting.BATCH]  # half of them was lost


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tmp_path, first):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, 20, signalled(3, first, signal.SIGINT))
    assert steps_of(tmp_path) == [1]  # of the first tick


def test_a_signal_that_is_passed_on_beside_itself_still_saves(tmp_path):
    """SLURM and systemd send it to a supervisor and to its children."""
    assert int(train(tmp_path, 20, signalled(3, *3 * [signal.SIGTERM])).step) == 4
    assert steps_of(tmp_path)[-1] == 4


REPEATED = """
import os, signal, sys, threading, time
from afgan_jax.training import preemption
from training import counting, test_preemption
preemption.TOGETHER = 0.1
def batches(start):
    for step, batch in enumerate(counting.batches(start), start):
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGTERM)
        yield batch
test_preemption.train(sys.argv[1], 20, batches)
"""


def test_a_second_sigterm_that_comes_later_ends_it_at_once(tmp_path):
    child = python(REPEATED, tmp_path)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGTERM, out
    assert steps_of(tmp_path) == [1]


@pytest.mark.parametrize("other", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("order", [1, -1])
def test_a_hangup_beside_another_signal_still_saves(tmp_path, other, order):
    """The shell and the system may both send it as a terminal closes."""
    numbers = [signal.SIGHUP, other][::order]
    assert int(train(tmp_path, 20, signalled(3, *numbers)).step) == 4
    assert steps_of(tmp_path)[-1] == 4


def test_nohup_is_heeded(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert int(train(tmp_path, 8, signalled(3, signal.SIGHUP)).step) == 8
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_first_signal_ends_it_at_once_while_there_is_nothing_to_save(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, 20, signalled(0, signal.SIGINT))
    assert steps_of(tmp_path) == []


def test_the_host_is_at_most_one_step_ahead_of_the_devices(tmp_path):
    """Else all that it is ahead must be done before it can stop."""
    program = counting.program(jax.devices()[:1], rounds=2000)
    update, done = program.updates["Gboth"], []

    def watched(*inputs):
        done.append([stats["w"].is_ready() for stats in results[:-1]])
        state, stats = update(*inputs)
        results.append(stats)
        return state, stats

    results = []
    program.updates["Gboth"] = watched
    with run_directory.Run.create_or_open(tmp_path, {"counting": {}}) as run:
        loop.train(
            run,
            program,
            counting.batches,
            counting.NoSamples(),
            batch_size=counting.BATCH,
            total_kimg=0.04,
        )
    assert len(done) == 10 and all(all(ready) for ready in done)


def test_a_checkpoint_is_due_by_time_and_changes_nothing(tmp_path):
    saved = []

    def batches(start):
        for batch in counting.batches(start):
            time.sleep(0.1)
            saved.append(steps_of(tmp_path / "a"))
            yield batch

    options = {"checkpoint_minutes": 0.5 / 60}
    begun = time.monotonic()
    state = train(tmp_path / "a", 30, batches, options)
    halves = (time.monotonic() - begun) / 0.5
    # Of the first tick, of every 0.5 s or a bit more since, and in the end.
    assert 3 <= len(steps_of(tmp_path / "a")) <= 2 + halves and len(saved[-1]) > 1
    assert float(state.G["params"]["w"]) == counting.weight(30)
    train(tmp_path / "b", 30, options={"checkpoint_minutes": 60.0})
    assert steps_of(tmp_path / "b") == [1, 30]


TWO = """
import sys
from afgan_jax.cli import train
folder, index, address = sys.argv[1:]
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
from training import counting, test_preemption
batches = counting.batches
if index == "1":
    batches = test_preemption.signalled(5, test_preemption.signal.SIGTERM)
with train.join(address, 2, int(index)):
    state = test_preemption.train(folder, 100, batches, devices=None)
print("STOPPED", state.step)
"""


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both_at_one_step(tmp_path):
    outs = python_twice(TWO, tmp_path)
    # Of its own step 5 the other hears when it has begun its step 6.
    assert all("STOPPED 7\n" in out for out in outs), "\n".join(outs)
    assert steps_of(tmp_path)[-1] == 7
    state = train(tmp_path, 9)  # goes on, on one device of one process
    assert float(state.G["params"]["w"]) == counting.weight(9)


LATE = """
import sys, time
from afgan_jax.cli import train
folder, index, address = sys.argv[1:]
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
from training import counting, test_preemption
def batches(start):
    for batch in counting.batches(start):
        time.sleep(0.1)
        yield batch
minutes = 0.5 / 60 if index == "0" else 1e-9  # of the clock of process 0 alone
options = {"checkpoint_minutes": minutes}
with train.join(address, 2, int(index)):
    test_preemption.train(folder, 30, batches, options, devices=None)
    print("SAVED", test_preemption.steps_of(folder))
"""


@pytest.mark.slow
def test_two_processes_save_by_the_clock_of_one(tmp_path):
    outs = python_twice(LATE, tmp_path)
    first, last = (out[out.index("SAVED") :] for out in outs)
    assert first == last and 4 <= len(steps_of(tmp_path)) <= 9


MEASURING = """
import os, signal, sys, time, types
from afgan_jax.cli import train
folder, index, address = sys.argv[1:]
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
from training import test_preemption
measured = 0
def evaluate(G_ema):
    global measured
    row = types.SimpleNamespace(lower=True)
    for number in range(200):
        measured += 1
        if index == "1" and number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        yield types.SimpleNamespace(name=f"m{number}", row=row), {"m": 1.0}, 0.1, None
options = {"evaluate": evaluate, "tick_kimg": 0.04, "checkpoint_ticks": 1}
with train.join(address, 2, int(index)):
    test_preemption.train(folder, 100, options=options, devices=None)
print("MEASURED", measured)
"""


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_leaves_out_further_metrics(tmp_path):
    outs = python_twice(MEASURING, tmp_path)
    assert all("MEASURED 4\n" in out for out in outs), "\n".join(outs)


@pytest.mark.slow
def test_sigterm_ends_a_process_of_a_job_before_training(tmp_path):
    code = "import os, signal, time; from afgan_jax.cli import train\n"
    code += f"with train.join('{free_address()}', 1, 0):\n"
    code += "    os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)"
    child = python(code)
    out, _ = child.communicate()
    assert child.returncode == -signal.SIGTERM, out
