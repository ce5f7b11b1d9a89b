"""Two supervisors, as on two hosts, whose trainings are one job."""

import os
import signal
import subprocess
import sys
import time

import pytest
from processes import ROOT, free_address
from training import counting, test_kills, test_preemption

STEPS = 100


def supervise(folder, index: int, address: str) -> subprocess.Popen:
    words = f"--workdir={folder / 'run'} --coordinator={address} --num-processes=2"
    words += f" --process-id={index} --heartbeat-seconds=5 --exit-stopped=42"
    child = [sys.executable, "-c", test_kills.CODE, str(STEPS), "", *words.split()]
    return subprocess.Popen(
        [sys.executable, ROOT / "launch" / "supervise.py", "--pause=0.5"]
        + [f"--state={folder / f'{index}.json'}", "--", *child],
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "JAX_PLATFORMS": "cpu"}
        | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def trains(states: list[dict], attempts: list[int]) -> bool:
    """Whether the job trains, after so many attempts of each host."""
    lines = states[0].get("lines") or [[]]
    newer = [one.get("attempt", 0) > n for one, n in zip(states, attempts)]
    # A supervisor tells once a second: one may not know yet what the other does.
    known = ["pid" in process for one in states for process in one.get("processes", [])]
    trained = any(line.startswith("compiling") for line in lines[0])
    return all(newer) and len(known) == 2 and all(known) and trained


@pytest.mark.slow
def test_processes_of_two_hosts_find_each_other_again(tmp_path):
    address = free_address()
    hosts = [supervise(tmp_path, index, address) for index in range(2)]
    attempts = [0, 0]
    try:
        for victim in (1, 0):
            end = time.monotonic() + 120
            states = [{}, {}]
            while not trains(states, attempts):
                assert time.monotonic() < end
                time.sleep(0.05)
                states = [test_kills.status_of(tmp_path, index) for index in range(2)]
            attempts = [state["attempt"] for state in states]
            os.kill(states[victim]["processes"][0]["pid"], signal.SIGKILL)
        assert [host.wait(timeout=240) for host in hosts] == [0, 0]
    finally:
        for host in hosts:
            host.terminate()
            host.wait(timeout=60)
    states = [test_kills.status_of(tmp_path, index) for index in range(2)]
    assert [state["codes"][-1] for state in states] == [[0], [0]]
    assert [137] in states[1]["codes"] and [137] in states[0]["codes"]
    state = test_preemption.train(tmp_path / "run", STEPS)
    assert float(state.G["params"]["w"]) == counting.weight(STEPS)
