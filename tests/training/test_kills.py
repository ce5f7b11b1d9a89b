"""What ends one process of a job, how the others end, and what goes on from there.

The command line is the real one; only the networks are those of `counting`.
"""

import dataclasses
import json
import re
import signal
import socket
import time

import pytest
from processes import free_address, python
from training import counting, test_preemption

STEPS = 100
HEARTBEAT = 5
CODE = """
import pathlib, runpy, sys, threading, time
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
from afgan_jax.assembly import training
from afgan_jax.training import peers, status
from training import counting, test_preemption
steps, fault, *words = sys.argv[1:]
peers.GRACE = 1

def batches(start):
    for step, batch in enumerate(counting.batches(start), start):
        time.sleep(0.05)
        if step == 9 and fault == "stall":
            threading.Event().wait()
        if step == 9 and fault == "data":
            raise ConnectionResetError(104, "Connection reset by peer", "gs://b/a.zip")
        yield batch

def train(config, workdir, *, stall_minutes, status_file, **_):
    told = status.Status(pathlib.Path(status_file))
    told.write("starting")
    if fault == "settings":
        raise ValueError("train.seed=-1 must be from 0 to 2**32 - 1")
    if fault == "slow to start":
        time.sleep(100)
    options = {"stall_minutes": stall_minutes, "status": told}
    state = test_preemption.train(workdir, int(steps), batches, options, devices=None)
    return int(state.step) == int(steps)

training.train = train
sys.argv = ["afgan_jax", "train", "--config=smoke", *words]
runpy.run_module("afgan_jax", run_name="__main__", alter_sys=True)
"""


@dataclasses.dataclass(frozen=True)
class Case:
    """What happens to process `victim`, and the exit codes of it and of the other.

    signal: sent to it, or to `both`, when it is in the state `when`; fault: of CODE;
    flag: that it alone gets. last: what the last line of the other begins with, "" if
    there must be none.
    """

    victim: int = 1
    signal: int | None = None
    both: bool = False
    when: str = "training"
    fault: str = ""
    flag: str = ""
    codes: tuple[int, int] = (0, 134)
    last: str = "process {victim} of 2 (pid {pid} on {host}) was lost"


SILENT = Case.last + f": no sign of life for {HEARTBEAT} s; end it"
FAILED = Case.last.replace("was lost", "ended by an error, see its last line")
APART = "not all processes of the job have met within 10 s: start the same command"
SAVED = "saved: run the same command to resume"
STALL = "no step has ended for 0.1 minutes: process {other} of 2 (pid "
KILL, STOP, TERM = signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM
CASES = {
    "SIGKILL of 0": Case(0, KILL, codes=(-9, 134)),
    "SIGKILL of 1": Case(1, KILL, codes=(-9, 134)),
    "SIGSTOP of 0": Case(0, STOP, codes=(-9, 134), last=SILENT),
    "SIGSTOP of 1": Case(1, STOP, codes=(-9, 134), last=SILENT),
    "SIGTERM of 1 before it trains": Case(
        1, TERM, when="starting", fault="slow to start", codes=(-15, 134)
    ),
    "SIGTERM of both before they train": Case(
        0, TERM, True, "starting", "slow to start", codes=(-15, -15), last=""
    ),
    "SIGTERM of 1": Case(1, TERM, codes=(42, 42), last=SAVED),
    "SIGTERM of both": Case(0, TERM, True, codes=(42, 42), last=""),
    "a bad flag": Case(flag="--stall-minutes=x", codes=(2, 134), last=APART),
    "a bad setting": Case(fault="settings", codes=(2, 134), last=FAILED),
    "an error of the network": Case(fault="data", codes=(1, 134), last=FAILED),
    "a stall": Case(fault="stall", codes=(134, 134), last=STALL),
}


def begin(folder, index: int, address: str, steps: int = STEPS, fault="", flag=""):
    words = f"--workdir={folder / 'run'} --coordinator={address} --num-processes=2"
    words += f" --process-id={index} --heartbeat-seconds={HEARTBEAT} --exit-stopped=42"
    words += f" --initialization-seconds=10 --stall-minutes=0.1 {flag}"
    status = {"AFGAN_STATUS": str(folder / f"{index}.json")}
    return python(CODE, str(steps), fault, *words.split(), environment=status)


def status_of(folder, index: int) -> dict:
    """What a process last told a supervisor."""
    try:
        return json.loads((folder / f"{index}.json").read_text())
    except FileNotFoundError:
        return {"state": None, "checkpoint": None}


def end(job) -> list[list[str]]:
    """The lines of each process, without those of a training that nothing disturbs."""
    outs = [child.communicate(timeout=100)[0] for child in job]
    usual = "[Gloo]", "compiling", "tick ", "stopping: "
    return [
        [line for line in out.splitlines() if not line.startswith(usual)]
        for out in outs
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_others_end_in_one_line_and_the_job_goes_on(tmp_path, name):
    case, address = CASES[name], free_address()
    own = {"fault": case.fault, "flag": case.flag}
    given = [own if i == case.victim or case.both else {} for i in range(2)]
    if case.fault == "slow to start":
        given = [own, own]
    job = [begin(tmp_path, i, address, **given[i]) for i in range(2)]
    victim, other = job[case.victim], job[1 - case.victim]
    try:
        if case.signal:
            deadline = time.monotonic() + 60
            while any(status_of(tmp_path, i)["state"] != case.when for i in range(2)):
                assert time.monotonic() < deadline and victim.poll() is None
                time.sleep(0.05)
            for child in job if case.both else [victim]:
                child.send_signal(case.signal)
        if case.signal == STOP:
            other.wait(timeout=60)
            victim.kill()
        lines = end(job)[1 - case.victim]
    finally:
        for child in job:
            child.kill()
            child.communicate()
    assert (victim.returncode, other.returncode) == case.codes, lines
    names = {"pid": victim.pid, "host": socket.gethostname()}
    names |= {"victim": case.victim, "other": 1 - case.victim}
    if case.fault == "stall":
        stacks = [i for i, line in enumerate(lines) if re.match("Thread|Current", line)]
        lines = lines[: stacks[0]]
    assert len(lines) == bool(case.last), lines
    assert not case.last or lines[0].startswith(case.last.format(**names)), lines
    if case.codes == (42, 42):
        found = [status_of(tmp_path, i) for i in range(2)]
        assert [s["state"] for s in found] == ["stopped", "stopped"]
        assert 1 < found[0]["checkpoint"] == found[1]["checkpoint"] < STEPS
    state = test_preemption.train(tmp_path / "run", STEPS)
    assert float(state.G["params"]["w"]) == counting.weight(STEPS)


@pytest.mark.slow
def test_a_job_that_nothing_disturbs_is_finished(tmp_path):
    address = free_address()
    job = [begin(tmp_path, index, address) for index in range(2)]
    assert end(job) == [[], []] and [child.returncode for child in job] == [0, 0]
    for index in range(2):
        found = status_of(tmp_path, index)
        assert (found["process"], found["processes"]) == (index, 2)
        assert (found["state"], found["checkpoint"]) == ("finished", STEPS)
