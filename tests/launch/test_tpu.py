"""Trainings on TPUs of a cloud whose workers are folders: see fake_gcloud.py."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import fake_gcloud
import pytest
from test_supervise import until

ROOT = pathlib.Path(__file__).parents[2]
# Counts steps in RUN/steps-N, one for each worker, and goes on from there, up to 20 or
# while there is RUN/endless. Ends with the code in RUN/code-N, if there is one.
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
while done < 20 or (run / "endless").exists():
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
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "run").mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(TRAIN)
    with cloud_and_checkout(tmp_path, "launch"):
        yield tmp_path


@contextlib.contextmanager
def cloud_and_checkout(folder, *parts):
    """A new cloud, and these parts of this code as a commit; no process stays."""
    cloud, code = fake_gcloud.make(folder / "cloud"), folder / "code"
    for part in parts:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, code / part, ignore=ignored)
    (code / ".gitignore").write_text("/out/\n__pycache__/\n")
    git = ["git", "-C", code, "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *words], check=True)
    try:
        yield
    finally:
        for name in os.listdir(folder / "cloud" / "workers"):
            cloud.end(name, signal.SIGKILL)


def tpu(place, *arguments, command=True) -> subprocess.Popen:
    """launch/tpu.py of the checkout; with the command, a training on the workers."""
    given = ["--shared-workdir", f"--python={place / 'python'}"]
    given += ["--", "python", "train.py", f"--workdir={place / 'run'}"]
    return launch(place, [*arguments, *(given if command else [])])


def launch(place, words) -> subprocess.Popen:
    path = f"{place / 'cloud' / 'bin'}:{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-S", str(place / "code" / "launch" / "tpu.py"), *words],
        env=os.environ | {"FAKE_CLOUD": str(place / "cloud"), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=place,
    )


def output(child, timeout=120) -> str:
    return child.communicate(timeout=timeout)[0]


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
    (place / "code" / "train.py").write_text("sys.exit(2)")  # for another day
    fake_gcloud.Cloud(place / "cloud").preempt("mine")
    out = output(child)
    assert child.returncode == 0, out
    assert steps(place) == [20, 20]
    states = [line.split()[-1] for line in out.splitlines() if " mine is " in line]
    created = ["ABSENT", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]
    assert states == created + ["SUSPENDED"] + created[1:]
    assert len(calls(place, "create")) == 2
    # The versions of the first installation are those of the second.
    kept = place / "code" / "out" / "tpu" / "mine"
    assert [p.read_text() for p in kept.rglob("constraints.txt")] == ["jax==0.10.2\n"]
    assert not list((place / "cloud" / "resources").iterdir())


def test_bad_input_on_one_worker_ends_all_at_once(place):
    (place / "run" / "code-1").write_text("2")
    child = tpu(place, "babysit", "mine", *SPOT)
    out = output(child)
    assert child.returncode == 2, out
    assert "worker 1: no good" in out
    assert len(calls(place, "create")) == len(calls(place, "systemd-run")) == 1
    assert not list((place / "cloud" / "resources").iterdir())


def test_a_status_that_does_not_come_deletes_nothing(place):
    child = tpu(place, "babysit", "mine", *SPOT)
    wait_for(lambda: begun(place, 2))
    (place / "cloud" / "down").touch()
    wait_for(lambda: begun(place, 12))
    assert not calls(place, "delete mine --zone=z --force --quiet\n")
    (place / "cloud" / "down").unlink()
    assert "done: exit code 0" in output(child)
    assert child.returncode == 0 and len(calls(place, "create")) == 1


def test_workers_that_do_not_answer_lose_nothing(place):
    """Neither while they train, nor for a babysitter that comes later."""
    (place / "run" / "endless").touch()
    child = tpu(place, "babysit", "mine", *SPOT)
    wait_for(lambda: begun(place, 2))
    (place / "cloud" / "deaf").touch()
    until(child.stdout, "no connection")
    child.kill()
    child.communicate()
    child = tpu(place, "babysit", "mine", *SPOT)
    until(child.stdout, "0 of 2 workers answered")
    time.sleep(1)  # more tries
    (place / "cloud" / "deaf").unlink()
    assert any("attempt 1: training" in line for line in child.stdout)
    (place / "run" / "endless").unlink()
    assert "done: exit code 0" in output(child)
    assert child.returncode == 0
    assert len(calls(place, "create")) == len(calls(place, "systemd-run")) == 1


def test_a_worker_that_ends_alone_is_started_again_with_all(place):
    (place / "run" / "endless").touch()
    child = tpu(place, "babysit", "mine", *SPOT)
    wait_for(lambda: begun(place, 3))
    worker = place / "cloud" / "workers" / "mine" / "mine-w-1"
    wait_for((worker / "afgan.json").exists)
    supervisor = json.loads((worker / "afgan.json").read_text())["pid"]
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: len(calls(place, "systemd-run")) == 2)
    (place / "run" / "endless").unlink()
    assert "done: exit code 0" in output(child)
    assert child.returncode == 0 and len(calls(place, "create")) == 1


def test_a_list_marks_what_should_not_be_there(place):
    made = "2026-01-01T00:00:00.5Z"
    cloud = place / "cloud"
    kept = {"made": 0, "state": "ACTIVE", "kind": "v4-8", "zone": "z"}
    kept["labels"] = {"max-minutes": "90"}
    for name, state in (("old", "ACTIVE"), ("stale", "SUSPENDED")):
        text = json.dumps(kept | {"state": state})
        (cloud / "resources" / f"{name}.json").write_text(text)
    node = {"name": "projects/p/locations/z/nodes/by-hand", "createTime": made}
    node |= {"acceleratorType": "v4-8", "state": "READY"}
    owned = node | {"queuedResource": "projects/p/locations/z/queuedResources/old"}
    (cloud / "nodes.json").write_text(json.dumps([node, owned]))
    out = output(tpu(place, "list", command=False))
    notes = [line.rpartition("  ")[::2] for line in out.splitlines()[3:]]
    assert {row.split()[0]: note.strip() for row, note in notes} == {
        "old": "OLDER THAN ITS LIMIT: delete it",
        "stale": "only takes quota: delete it",
        "by-hand": "has no limit: not made by tpu.py",
    }


def test_a_request_that_fails_is_made_again(place):
    child = tpu(place, "babysit", "mine", *SPOT)
    cloud = fake_gcloud.Cloud(place / "cloud")
    wait_for(lambda: (place / "cloud" / "resources" / "mine.json").exists())
    cloud.preempt("mine", "FAILED")
    assert "mine is FAILED" in output(child)
    assert child.returncode == 0 and len(calls(place, "create")) == 2


def test_without_an_answer_of_gcloud_nothing_begins(place):
    (place / "cloud" / "down").touch()
    child = tpu(place, "babysit", "mine", *SPOT)
    assert output(child).endswith("error: ERROR: (gcloud) DEADLINE_EXCEEDED: slow\n")
    assert child.returncode == 1 and not calls(place, "create")


def test_hours_that_are_used_up_end_a_training_saved(place):
    (place / "run" / "endless").touch()
    options = [word for word in SPOT if "hours" not in word]
    child = tpu(place, "babysit", "mine", *options, "--max-hours=0.002")
    out = output(child)
    assert child.returncode == 42 and "the hours are used up" in out, out
    assert not list((place / "cloud" / "resources").iterdir())


def test_workers_delete_their_tpu_though_nobody_watches(place):
    options = [word for word in SPOT if "hours" not in word]
    made = tpu(place, "create", "mine", *options, "--max-hours=0.0015", command=False)
    assert "mine is ACTIVE" in output(made) and made.returncode == 0
    wait_for(lambda: not list((place / "cloud" / "resources").iterdir()))


def test_versions_that_differ_are_refused_by_name(place):
    (place / "cloud" / "extra-1").write_text("numpy==9.9\n")
    child = tpu(place, "babysit", "mine", *SPOT)
    out = output(child)
    assert child.returncode == 2, out
    assert "worker 1 has numpy==9.9, worker 0 has less" in out
    assert not calls(place, "systemd-run")
    assert not list((place / "cloud" / "resources").iterdir())


def test_changes_that_are_not_committed_are_refused_before_anything_costs(place):
    with (place / "code" / "train.py").open("a") as file:
        file.write('print("changed")\n')
    child = tpu(place, "babysit", "mine", *SPOT)
    assert "changes that are not committed (M train.py, ...)" in output(child)
    assert child.returncode == 2
    assert not (place / "cloud" / "calls.jsonl").exists()
    child = tpu(place, "babysit", "mine", *SPOT, "--allow-dirty")
    wait_for(lambda: begun(place, 1))
    worker = place / "cloud" / "workers" / "mine" / "mine-w-0"
    assert (worker / "afgan" / "train.py").read_text().endswith('print("changed")\n')
    child.kill()
    child.communicate()


def test_step_by_step(place):
    """create, run, status, logs, list, stop and delete; babysit takes over."""
    out = output(tpu(place, "create", "mine", *SPOT, command=False))
    states = [line.split()[-1] for line in out.splitlines() if "mine is " in line]
    assert states == fake_gcloud.STATES
    (place / "run" / "endless").touch()
    output(tpu(place, "run", "mine", "--zone=z", "--max-hours=1"))
    wait_for(lambda: begun(place, 15))
    out = output(tpu(place, "status", "mine", "--zone=z", command=False))
    *_, heading, first, second = out.splitlines()
    assert heading.split()[:3] == ["WORKER", "UNIT", "ATTEMPT"]
    assert first.split()[:3] == ["0", "active", "1"] and second.split()[0] == "1"
    assert first.endswith("from step 0")
    out = output(tpu(place, "logs", "mine", "--zone=z", "--worker=1", command=False))
    assert out.endswith("\nfrom step 0\n")
    *_, heading, row = output(tpu(place, "list", command=False)).splitlines()
    assert row.split() == "mine z v4-16 ACTIVE 0.0 h 1.0 h".split()
    output(tpu(place, "stop", "mine", "--zone=z", command=False))
    reached = steps(place)
    out = output(tpu(place, "status", "mine", "--zone=z", command=False))
    assert out.count("ended with 42") == 2 and steps(place) == reached
    (place / "run" / "endless").unlink()
    child = tpu(place, "babysit", "mine", *SPOT)
    output(child)
    assert child.returncode == 0 and steps(place) == [max(20, n) for n in reached]
    assert len(calls(place, "create")) == 1
    assert output(tpu(place, "list", command=False)).endswith("nothing is there\n")


def test_a_babysitter_that_comes_back_disturbs_nothing(place):
    (place / "run" / "endless").touch()
    first = tpu(place, "babysit", "mine", *SPOT)
    wait_for(lambda: begun(place, 3))
    first.kill()
    first.communicate()
    second = tpu(place, "babysit", "mine", *SPOT)
    until(second.stdout, "mine is ACTIVE")
    (place / "run" / "endless").unlink()
    assert "done: exit code 0" in output(second)
    assert len(calls(place, "systemd-run")) == len(calls(place, "create")) == 1


def test_ctrl_c_leaves_the_tpu_and_says_how_to_delete_it(place):
    child = tpu(place, "babysit", "mine", *SPOT)
    wait_for(lambda: begun(place, 3))
    child.send_signal(signal.SIGINT)
    assert "delete it: launch/tpu.py delete mine --zone=z" in output(child)
    assert child.returncode == 130 and not calls(place, "queued-resources delete")


def test_a_training_that_tpu_py_stops_is_not_started_again(place):
    (place / "run" / "endless").touch()
    child = tpu(place, "babysit", "mine", *SPOT)
    wait_for(lambda: begun(place, 3))
    output(tpu(place, "stop", "mine", "--zone=z", command=False))
    assert "stopped by tpu.py stop: exit code 42" in output(child)
    assert child.returncode == 42


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gcloud-flag=--max-run-duration=3h"],  # in alpha only
        ["--gcloud-flag=--preemptible"],
    ],
)
def test_flags_that_gcloud_has_not_are_refused(place, arguments):
    child = tpu(place, "create", "mine", *SPOT, *arguments, command=False)
    assert "unrecognized arguments" in output(child) and child.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--type=tpu7x-16"], "only GKE has: use python launch/gke.py"),
        (["--type=v3-8"], "must be v4-N, v5e-N, v5p-N or v6e-N"),
        (["--type=v4-12"], "N counts cores, 8 a host: 8, 16, 32, 64, ..., not 12"),
        (["--type=v6e-12"], "one of 1, 4, 8, 16, 32, 64, 128, 256, not 12"),
        (["--workdir=runs/x"], "--workdir=runs/x: the disks of a TPU's workers are"),
        (["--env=A"], "A must be NAME=VALUE"),
        (["--max-hours=0"], "0 must be above 0"),
    ],
)
def test_what_cannot_work_is_refused_before_any_command(arguments, told):
    (word,) = arguments
    before = [*SPOT, "--dry-run", *([] if "workdir" in word else arguments)]
    training = ["python", "-m", "afgan_jax", "train", "--workdir=gs://b/r"]
    training += arguments if "workdir" in word else []
    script = [sys.executable, "-S", str(ROOT / "launch" / "tpu.py")]
    child = subprocess.run(
        [*script, "babysit", "mine", *before, "--", *training],
        capture_output=True,
        text=True,
    )
    assert child.returncode == 2 and told in child.stderr and not child.stdout


def test_hours_are_required():
    script = [sys.executable, "-S", str(ROOT / "launch" / "tpu.py")]
    for verb in ("create", "run", "babysit"):
        words = [*script, verb, "mine", "--zone=z", "--type=v4-8"]
        child = subprocess.run(words, capture_output=True, text=True)
        assert child.returncode == 2 and "required: --max-hours" in child.stderr
