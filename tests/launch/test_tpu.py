"""Trainings on TPUs of a cloud whose workers are folders: see fake_gcloud.py."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import fake_gcloud
import pytest

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = pathlib.Path(__file__).parent / "golden"
# Counts steps in RUN/steps-N, one for each worker, and goes on from there. Ends with the
# code in RUN/code-N, if there is one.
TRAIN = """
import os, pathlib, signal, sys, time
sys.path.insert(0, "launch")
import state_file
run = pathlib.Path([w for w in sys.argv if w.startswith("--workdir=")][0][10:])
assert "--coordinator=auto" in sys.argv and "--exit-stopped=42" in sys.argv
assert os.environ["JAX_COORDINATOR_PORT"] == "8476"
mine = os.environ["TPU_WORKER_ID"]
steps = run / f"steps-{mine}"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))
done = int(steps.read_text()) if steps.exists() else 0
print("from step", done, flush=True)
while done < 20:
    time.sleep(0.1)
    code = run / f"code-{mine}"
    if code.exists():
        print("no good")
        sys.exit(int(code.read_text()))
    done += 1
    steps.write_text(str(done))
    told = {"state": "training", "checkpoint": done, "nimg": 8 * done}
    state_file.write(pathlib.Path(os.environ["AFGAN_STATUS"]), told)
"""
PYTHON = f"""#!/bin/sh
case "$*" in
  --version) echo Python 3.12.1 ;;
  "-m pip freeze --exclude-editable") echo "jax==0.10.2"
    cat "$FAKE_CLOUD/extra-$TPU_WORKER_ID" 2> /dev/null || true ;;
  *) exec {sys.executable} -S "$@" ;;
esac
"""
SPOT = ["--zone=z", "--type=v4-16", "--spot", "--max-hours=1", "--poll=0.1"]


@pytest.fixture
def place(tmp_path):
    """A folder with a cloud, a checkout, an interpreter, and a run folder."""
    cloud = fake_gcloud.make(tmp_path / "cloud")
    code = tmp_path / "code"
    shutil.copytree(
        ROOT / "launch", code / "launch", ignore=shutil.ignore_patterns("__pycache__")
    )
    (code / "train.py").write_text(TRAIN)
    (code / ".gitignore").write_text("/out/\n__pycache__/\n")
    git = ["git", "-C", code, "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "run").mkdir()
    yield tmp_path
    for name in os.listdir(tmp_path / "cloud" / "workers"):
        cloud.end(name, 9)


def tpu(place, *arguments, command=True, **options) -> subprocess.Popen:
    """launch/tpu.py of the checkout; with the command, a training on the workers."""
    script = [sys.executable, "-S", str(place / "code" / "launch" / "tpu.py")]
    training = ["--", "python", "train.py", f"--workdir={place / 'run'}"]
    given = ["--shared-workdir", f"--python={place / 'python'}"] if command else []
    path = f"{place / 'cloud' / 'bin'}:{os.environ['PATH']}"
    return subprocess.Popen(
        [*script, *arguments, *given, *(training if command else [])],
        env=os.environ | {"FAKE_CLOUD": str(place / "cloud"), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=place,
        **options,
    )


def output(child) -> str:
    return child.communicate(timeout=120)[0]


def calls(place, verb: str) -> list[str]:
    lines = (place / "cloud" / "calls.jsonl").read_text().splitlines()
    return [line for line in map(" ".join, map(json.loads, lines)) if verb in line]


def steps(place) -> list[int]:
    return [int((place / "run" / f"steps-{i}").read_text() or 0) for i in range(2)]


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def begun(place, step: int) -> bool:
    try:
        return min(steps(place)) >= step
    except (OSError, ValueError):
        return False


def test_a_preempted_training_is_created_again_resumes_and_ends(place):
    child = tpu(place, "babysit", "mine", *SPOT)
    wait_for(lambda: begun(place, 5))
    fake_gcloud.Cloud(place / "cloud").preempt("mine")
    out = output(child)
    assert child.returncode == 0, out
    assert steps(place) == [20, 20]
    states = [line.split()[-1] for line in out.splitlines() if " mine is " in line]
    created = ["ABSENT", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]
    assert states == created + ["SUSPENDED"] + created[1:]
    assert len(calls(place, "create")) == 2
    # The versions of the first installation are those of the second.
    pins = place / "code" / "out" / "tpu" / "mine" / "constraints.txt"
    assert pins.read_text() == "jax==0.10.2\n"
    assert not list((place / "cloud" / "resources").iterdir())
