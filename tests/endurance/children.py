"""Trials in child processes, which may crash, hang or be killed.

Children are forked from a process that has imported the package but started no backend
of JAX: a trial costs no import, and its backend, threads and memory are its own.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from jax._src import xla_bridge

PATIENCE = 240.0  # seconds for a trial before it counts as hung
WORKERS = 2


def fork(function: Callable, *arguments, log: Path, session: bool = False) -> int:
    """The pid of a child that runs function(*arguments); its output goes to `log`.

    It ends with 0, or 1 and a traceback if the function raises.
    """
    # Threads of a backend would not be in the child, which then hangs now and then.
    assert not xla_bridge.backends_are_initialized(), "this process began to compute"
    pid = os.fork()
    if pid:
        return pid
    try:
        if session:
            os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        code = function(*arguments) or 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def wait(pid: int, seconds: float | None = None) -> int | None:
    """The exit code of a child, negative for a signal; None if it is still running."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, 0 if end is None else os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            return None
        time.sleep(0.005)


def run(
    trial: Callable[[int], Sequence[str]],
    count: int,
    folder: Path,
    *,
    chunk: int = 50,
    patience: float = PATIENCE,
) -> list[str]:
    """The faults of trial(0) to trial(count - 1), with those that ended their process.

    WORKERS at a time; a process does `chunk` trials. Each trial gets a fresh process if
    the one before ended it.
    """
    todo = [range(i, min(i + chunk, count)) for i in range(0, count, chunk)]
    running: dict[int, tuple[range, Path, float]] = {}
    faults: list[str] = []
    made = done = 0
    while todo or running:
        while todo and len(running) < WORKERS:
            numbers, said = todo.pop(0), folder / f"trials-{made}.jsonl"
            log = folder / f"trials-{made}.log"
            made += 1
            pid = fork(_trials, trial, numbers, said, log=log, session=True)
            running[pid] = (numbers, said, log)
        time.sleep(0.02)
        for pid, (numbers, said, log) in list(running.items()):
            code = wait(pid, 0)
            begun, found = _read(said)
            is_hung = code is None and begun and time.time() - begun[1] > patience
            if code is None and not is_hung:
                continue
            if is_hung:
                os.killpg(pid, signal.SIGKILL)
                wait(pid)
            del running[pid]
            faults += [f"trial {i}: {text}" for i, texts in found for text in texts]
            done += len(found)
            if len(found) < len(numbers):
                number = begun[0] if begun else numbers[0]
                last = log.read_text(errors="replace").splitlines()[-1:] or [""]
                how = f"hung for {patience:.0f} s" if is_hung else f"ended with {code}"
                faults.append(f"trial {number}: the process {how}: {last[0][:200]}")
                done += 1
                todo.insert(0, range(number + 1, numbers.stop))
                todo = [numbers for numbers in todo if numbers]
            if sys.stderr.isatty() or done % 100 < chunk:
                print(f"  {done} of {count}, {len(faults)} faults", file=sys.stderr)
    return faults


def _trials(trial: Callable, numbers: range, said: Path) -> None:
    with said.open("a") as file:
        for number in numbers:
            print(json.dumps({"begun": [number, time.time()]}), file=file, flush=True)
            found = list(trial(number))
            print(json.dumps({"found": [number, found]}), file=file, flush=True)


def _read(said: Path) -> tuple[list | None, list]:
    """(number and time of the trial last begun, [number, faults] of those done)."""
    begun, found = None, []
    for line in said.read_text().splitlines() if said.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            break  # being written
        begun = entry.get("begun", begun)
        found += [entry["found"]] if "found" in entry else []
    return begun, found
