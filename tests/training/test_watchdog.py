"""A training that stands still ends, and tells where; one that works does not."""

import pytest
from processes import python
from training import test_preemption

HANGING = """
import sys, threading, time
from training import counting, test_preemption

def batches(start):
    for step, batch in enumerate(counting.batches(start), start):
        if step == 6:
            threading.Event().wait()
        yield batch

test_preemption.train(sys.argv[1], 20, batches, {"stall_minutes": 0.05})
"""


def test_a_training_that_hangs_ends_and_tells_where(tmp_path):
    child = python(HANGING, tmp_path)
    out, _ = child.communicate(timeout=100)
    assert child.returncode == 134, out
    first = next(line for line in out.splitlines() if "no step has ended" in line)
    assert "no step has ended for 0.05 minutes: process 0 of 1 (pid " in first
    stacks = out.partition(first)[2]
    assert "Thread 0x" in stacks and "in batches" in stacks and "in train" in stacks
    assert int(test_preemption.train(tmp_path, 8).step) == 8


@pytest.mark.slow
def test_compilers_and_metrics_are_no_stall_until_they_are():
    code = """
import time
import pytest
from afgan_jax.training import watchdog
with watchdog.Watchdog(0.02, compiling=2) as watch:  # 1.2 s
    FIRST; watch.end_step()
    time.sleep(2); watch.end_step()  # it was compiled too
    with watch.paused():
        time.sleep(2)
    for _ in range(15):
        time.sleep(0.1); watch.end_step()
    print("HERE", flush=True)
    LAST
print("ALIVE", flush=True); time.sleep(1)
"""
    short, long = "time.sleep(2)", "time.sleep(50)"
    ends = {
        ("pass", "pass"): (True, 0),
        (short, long): (True, 134),
        (long, "pass"): (False, 134),
    }
    children = [
        python(code.replace("FIRST", first).replace("LAST", last))
        for first, last in ends
    ]
    for child, (is_here, returncode) in zip(children, ends.values(), strict=True):
        out, _ = child.communicate(timeout=60)
        assert ("HERE\n" in out) == is_here and child.returncode == returncode, out
