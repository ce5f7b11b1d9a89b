"""The supervisor: when it starts again, when it ends, and with which code."""

import ast
import json
import pathlib
import re
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Acts attempt by attempt: "5:1" saves checkpoint 5 and ends with 1, "wait:42" ends with
# 42 when it is told to stop, "kill" kills itself, "None:0:stopped" tells its state.
CHILD = f"""
import json, os, signal, sys, time
sys.path.insert(0, {str(ROOT / "launch")!r})
from pathlib import Path
import state_file
folder, *acts = sys.argv[1:]
attempt = len(os.listdir(folder))
(Path(folder) / str(attempt)).touch()
what, code, state = (acts[min(attempt, len(acts) - 1)] + "::training").split(":")[:3]
print("attempt", attempt, flush=True)
if what == "kill":
    os.kill(os.getpid(), 9)
if what == "wait":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(int(code)))
    print("waiting", flush=True)
    time.sleep(60)
state_file.write(
    Path(os.environ["AFGAN_STATUS"]), {{"checkpoint": eval(what), "state": state}}
)
sys.exit(int(code))
"""


def command(folder, *acts) -> list[str]:
    folder.mkdir()
    return [sys.executable, "-S", "-c", CHILD, str(folder), *acts]


def supervise(tmp_path, *acts, options=(), prefix=()) -> subprocess.Popen:
    script = [sys.executable, "-S", str(ROOT / "launch" / "supervise.py")]
    options = ["--pause=0", f"--state={tmp_path / 'state.json'}", *options]
    child = command(tmp_path / "attempts", *acts)
    return subprocess.Popen(
        [*prefix, *script, *options, "--", *child],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,  # from anywhere
    )


def state(tmp_path) -> dict:
    return json.loads((tmp_path / "state.json").read_text())


@pytest.mark.parametrize(
    ("acts", "attempts", "code"),
    [
        (["8:0"], 1, 0),
        (["None:2"], 1, 2),
        (["None:130"], 1, 130),
        (["4:134", "8:0"], 2, 0),
        (["4:42", "kill", "8:1", "9:143", "9:0"], 5, 0),
        (["4:134", "4:2"], 2, 2),
        (["None:1"], 4, 1),  # three restarts
        (["4:1"], 4, 1),  # a checkpoint, but none newer
        (["4:1", "4:1", "4:1", "5:1", "5:1", "5:1", "5:1"], 7, 1),
        (["4:0:stopped", "8:0"], 2, 0),  # stopped by others is not done
    ],
)
def test_restarts_follow_exit_codes_and_checkpoints(tmp_path, acts, attempts, code):
    child = supervise(tmp_path, *acts)
    out, err = child.communicate(timeout=60)
    assert child.returncode == code, err
    assert out.splitlines() == [f"attempt {i}" for i in range(attempts)]
    kept = state(tmp_path)
    assert kept["state"] == "ended" and kept["code"] == code
    assert kept["attempt"] == attempts == len(kept["codes"])
    assert kept["lines"] == [[f"attempt {attempts - 1}"]]


def test_a_budget_ends_what_makes_progress_but_never_ends(tmp_path):
    acts = [f"{i}:134" for i in range(9)]
    child = supervise(tmp_path, *acts, options=["--max-restarts=5"])
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1 and "gave up after 5 restarts" in err
    assert state(tmp_path)["codes"] == [[134]] * 6
    assert state(tmp_path)["checkpoint"] == 5


def until(lines, wanted: str) -> None:
    assert any(line.strip().endswith(wanted) for line in lines), wanted


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, code) for code in (0, 2, 42, 143)]
    + [(signal.SIGINT, 42), (signal.SIGHUP, 42)],
)
def test_what_a_supervisor_is_told_reaches_the_training(tmp_path, number, code):
    child = supervise(tmp_path, f"wait:{code}", "8:0")
    until(child.stdout, "waiting")
    child.send_signal(number)
    assert child.wait(30) == code
    assert state(tmp_path)["codes"] == [[code]]
    child.communicate()


def test_nohup_keeps_a_training_from_the_end_of_its_terminal(tmp_path):
    child = supervise(tmp_path, "wait:42", prefix=["nohup"])
    until(child.stdout, "waiting")
    child.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.5)
    child.terminate()
    assert child.wait(30) == 42
    child.communicate()


def test_a_supervisor_told_to_stop_in_a_pause_ends_at_once(tmp_path):
    child = supervise(tmp_path, "4:134", options=["--pause=60"])
    until(child.stderr, "starting again in 60 s")
    child.terminate()
    assert child.wait(30) == 42
    child.communicate()


def test_pauses_grow_until_there_is_a_newer_checkpoint(tmp_path):
    acts = ["4:1", "4:1", "4:1", "5:1", "5:0"]
    child = supervise(tmp_path, *acts, options=["--pause=0.02"])
    _, err = child.communicate(timeout=60)
    assert re.findall(r"again in (\S+) s", err) == ["0.02", "0.04", "0.08", "0.02"]


def test_training_goes_on_when_nobody_reads(tmp_path):
    child = supervise(tmp_path, "4:134", "4:134", "8:0")
    child.stdout.close()
    child.stderr.close()
    assert child.wait(30) == 0
    assert state(tmp_path)["checkpoint"] == 8


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "write the command after --"),
        (["--max-restarts=-1", "--", "true"], "-1 must be at least 0"),
        (["python", "train.py"], "unrecognized arguments: python train.py"),
    ],
)
def test_a_wrong_call_ends_with_2(arguments, told):
    script = [sys.executable, "-S", str(ROOT / "launch" / "supervise.py")]
    child = subprocess.run([*script, *arguments], capture_output=True, text=True)
    assert child.returncode == 2 and told in child.stderr


def test_a_command_that_is_not_there_is_not_tried_again(tmp_path):
    script = [sys.executable, "-S", str(ROOT / "launch" / "supervise.py")]
    child = subprocess.run([*script, "--", "no-such"], capture_output=True, text=True)
    assert child.returncode == 127
    assert child.stdout == "error: cannot run no-such: No such file or directory\n"


@pytest.mark.parametrize("path", sorted((ROOT / "launch").glob("*.py")), ids=str)
def test_scripts_are_of_the_standard_library_and_python_3_9(path):
    """Other than examples, which import the package."""
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in [getattr(node, "module", None) or node.names[0].name]
    }
    if "afgan_jax" not in imported:
        beside = {path.stem for path in (ROOT / "launch").glob("*.py")}
        assert imported <= sys.stdlib_module_names | beside
        notes = [getattr(node, "annotation", None) for node in ast.walk(tree)]
        notes += [getattr(node, "returns", None) for node in ast.walk(tree)]
        unions = [note for note in notes if isinstance(note, ast.BinOp)]
        assert "__future__" in imported or not unions
