"""When a process of a job ends, so do the others, in one line; and the job goes on."""

import signal
import time
from unittest import mock

import jax
import pytest
from processes import free_address, python, python_twice
from training import counting

from afgan_jax import errors
from afgan_jax.metrics import evaluation, evaluator, registry
from afgan_jax.runs import run_directory
from afgan_jax.training import report as reports

GLOO = "UNKNOWN: Gloo AllGather failed: Read error: Connection reset by peer"

STEPS = 40
CODE = f"""
import sys, time
folder, index, address, kind = sys.argv[1:]
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
from afgan_jax.training import peers
peers.GRACE, HEARTBEAT = 1, 4
from training import counting, test_preemption

def batches(start):
    for batch in counting.batches(start):
        if kind == "slow":
            time.sleep(0.1)
        yield batch

with peers.joined(address, 2, int(index), heartbeat=HEARTBEAT):
    state = test_preemption.train(folder, {STEPS}, batches, devices=None)
    if kind == "late" and index == "1":
        time.sleep(2 * HEARTBEAT)
print("WEIGHT", state.G["params"]["w"])
"""


def begin(folder, kind: str):
    """A job of two processes; returns when it trains."""
    address = free_address()
    job = [python(CODE, folder, index, address, kind) for index in range(2)]
    while not (folder / "checkpoints" / "1" / "checksums").exists():
        for child in job:
            assert child.poll() is None, child.communicate()[0]
        time.sleep(0.1)
    return job


def lines_of(child) -> list[str]:
    out, _ = child.communicate(timeout=60)
    told = "[Gloo]", "compiling", "tick "  # of a training that nothing disturbs
    return [line for line in out.splitlines() if not line.startswith(told)]


def test_a_failed_collective_is_told_from_errors_of_one_process():
    cause = errors.Stopped("checkpoint 8 could not be saved")
    cause.__cause__ = jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: Barrier")
    for error in (ValueError(GLOO), cause):
        assert errors.may_be_of_peers(error)
    for error in (
        errors.SettingError("train.seed", -1, "must be at least 0"),
        OSError(28, "No space left on device", "runs/x"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
    ):
        assert not errors.may_be_of_peers(error)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_all_processes_compute_is_not_optional(tmp_path, monkeypatch, processes):
    with run_directory.Run.create_or_open(tmp_path, {}) as run:
        report = reports.Report(run, 1000, 0)
        monkeypatch.setattr(jax, "process_count", lambda: processes)
        lost = pytest.raises(ValueError, match="Gloo")
        with lost if processes > 1 else report.optional("fakes"):
            with report.optional("fakes"):
                raise ValueError(GLOO)
        metric = mock.create_autospec(registry.Metric, instance=True)
        subject = mock.create_autospec(evaluator.Subject, instance=True)
        metric.find.side_effect = ValueError(GLOO)
        with lost if processes > 1 else report.optional("metrics"):
            assert "Gloo" in evaluation._result(metric, subject).fault
        monkeypatch.undo()
        report.close()


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_process_does_not_wait_for_ever_for_others_to_start(index):
    code = "from afgan_jax.training import peers\n"
    code += f"with peers.joined('{free_address()}', 2, {index}, initialization=2): pass"
    child = python(code)
    (line,) = lines_of(child)
    assert child.returncode == 134
    assert line.startswith("not all processes of the job have met within 2 s: ")


@pytest.mark.slow
def test_a_process_that_cannot_be_reached_is_told_and_all_go_on(tmp_path):
    code = CODE.replace("sys.argv[1:]", "[*sys.argv[1:], 'plain']")
    code = code.replace("with peers", "peers._connect = lambda *_: None\nwith peers")
    outs = python_twice(code, tmp_path, devices=1)
    assert all(f"WEIGHT {counting.weight(STEPS)}" in out for out in outs), outs
    assert "process 0 cannot reach port" in outs[0] and "cannot" not in outs[1]


@pytest.mark.slow
def test_a_stopped_process_that_was_given_up_ends_when_it_goes_on(tmp_path):
    job = begin(tmp_path, "slow")
    job[1].send_signal(signal.SIGSTOP)
    job[0].communicate(timeout=60)
    job[1].send_signal(signal.SIGCONT)
    job[1].communicate(timeout=60)
    # By its own word, or by JAX's if that notices first that the coordinator is gone.
    assert job[1].returncode in (134, -signal.SIGABRT)


@pytest.mark.slow
def test_a_process_that_is_done_waits_for_the_others(tmp_path):
    code = CODE.replace("sys.argv[1:]", "[*sys.argv[1:], 'late']")
    outs = python_twice(code, tmp_path, devices=1)
    assert all(f"WEIGHT {counting.weight(STEPS)}" in out for out in outs), outs
