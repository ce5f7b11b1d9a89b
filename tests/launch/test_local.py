"""Several processes on one machine: started, restarted and ended as a whole."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from test_supervise import state, until

ROOT = pathlib.Path(__file__).parents[2]
LOCAL = [sys.executable, "-S", str(ROOT / "launch" / "local.py")]
# "0:134,0" is process 0, whose first attempt ends with 134 and its second with 0; those
# not named wait until they are told to stop, or for process 0 to end.
CHILD = """
import os, signal, sys, time
folder, *acts, _, _, mine, _ = sys.argv[1:]
index = mine.partition("=")[2]
attempt = sum(name.startswith(index + "-") for name in os.listdir(folder))
open(f"{folder}/{index}-{attempt}", "w").close()
codes = dict(act.split(":") for act in acts).get(index, "wait").split(",")
code = codes[min(attempt, len(codes) - 1)]
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: sys.exit(42))
print("attempt", attempt, flush=True)
if code == "wait":
    time.sleep(60)
sys.exit(int(code))
"""


def local(folder, *acts, options=()) -> subprocess.Popen:
    (folder / "attempts").mkdir()
    options = ["--processes=2", "--pause=0", f"--state={folder}/state.json", *options]
    child = [sys.executable, "-S", "-c", CHILD, str(folder / "attempts"), *acts]
    return subprocess.Popen(
        [*LOCAL, *options, "--", *child],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_commands_get_an_address_a_number_and_gpus():
    command = ["python", "-m", "afgan_jax", "train", "--workdir=my run"]
    out = subprocess.run(
        [*LOCAL, "--processes=2", "--gpus=2", "--dry-run", "--", *command],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "4,5,6,7"},
    ).stdout
    assert re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", out).splitlines() == [
        f"[{i}] CUDA_VISIBLE_DEVICES={gpus} python -m afgan_jax train"
        " '--workdir=my run' --coordinator=ADDRESS --num-processes=2"
        f" --process-id={i} --exit-stopped=42"
        for i, gpus in enumerate(["4,5", "6,7"])
    ]


def test_too_few_gpus_are_refused():
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "4,5,6"}
    child = subprocess.run(
        [*LOCAL, "--processes=2", "--gpus=2", "--", "true"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert child.returncode == 2
    assert "needs 4 GPUs" in child.stderr and "4,5,6 has 3" in child.stderr


@pytest.mark.parametrize(
    ("acts", "ended", "code"),
    [
        (["0:0", "1:0"], [[0, 0]], 0),
        (["0:134,0", "1:137,0"], [[134, 137], [0, 0]], 0),
        (["0:134", "1:2"], [[134, 2]], 2),  # outranks what the others say of it
        (["0:0", "1:1,0"], [[0, 1], [0, 0]], 0),
        (["0:42,0", "1:42,0"], [[42, 42], [0, 0]], 0),
        (["0:134", "1:1"], [[134, 1]] * 4, 1),
    ],
)
def test_processes_start_again_together(tmp_path, acts, ended, code):
    child = local(tmp_path, *acts)
    out, err = child.communicate(timeout=60)
    assert child.returncode == code, err
    assert state(tmp_path)["codes"] == ended
    lines = [f"[{i}] attempt {k}" for k in range(len(ended)) for i in range(2)]
    assert sorted(out.splitlines()) == sorted(lines)


def test_who_does_not_end_when_another_failed_is_killed(tmp_path):
    child = local(tmp_path, "0:134,2", options=["--grace=0.2"])
    child.communicate(timeout=60)
    assert child.returncode == 2
    assert state(tmp_path)["codes"] == [[134, 137], [2, 137]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_processes_are_told_to_stop(tmp_path, number):
    child = local(tmp_path)
    until(child.stdout, "attempt 0")
    until(child.stdout, "attempt 0")
    child.send_signal(number)
    assert child.wait(30) == 42
    assert state(tmp_path)["codes"] == [[42, 42]]
    child.communicate()
