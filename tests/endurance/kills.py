"""SIGKILL at random instants of a training, which is then resumed, until it is done.

The end of each training must be that of an undisturbed one, bit for bit: state, losses
of every tick, images, and the checkpoints that are kept.
"""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import children
import trainings

STEPS = 24
KILLS = 20  # of each training


def run(count: int, seed: int, folder: Path) -> dict:
    images = trainings.write_images(folder / "images")
    calm = folder / "calm"
    code = children.wait(
        children.fork(trainings.train, images, calm, STEPS, log=folder / "calm.log")
    )
    assert code == 0, (folder / "calm.log").read_text()
    expected = trainings.results_of(calm)
    runs = -(-count // KILLS)

    def trial(number: int) -> list[str]:
        kills = min(KILLS, count - number * KILLS)
        draw = random.Random(f"{seed} {number}")
        return _one(folder / f"run-{number}", images, calm, kills, draw, expected)

    faults = children.run(trial, runs, folder, chunk=1, patience=1800)
    return {"trials": count, "faults": faults}


def _one(run: Path, images: Path, calm: Path, kills: int, draw, expected) -> list[str]:
    """The faults of one training that is killed so many times."""
    log = run.with_suffix(".log")
    # A first life without compiled programs is killed while it stores them.
    if draw.random() < 0.8:
        trainings.copy_compiled(calm, run)
    faults = []
    for kill in range(kills):
        # Beyond the last step nothing is left to disturb: the end comes ever later.
        steps = min(STEPS, 2 + STEPS * (kill + 1) // kills)
        killed_at = life(run, images, steps, draw, log)
        if killed_at is not None:
            faults.append(f"kill {kill}: {killed_at}")
    for _ in range(2):  # to the end; and once more, which restores alone
        code = children.wait(
            children.fork(trainings.train, images, run, STEPS, log=log)
        )
        if code:
            return [*faults, f"the last life ended with {code}: {last_line(log)}"]
    text = log.read_text(errors="replace")
    faults += ["a traceback"] if "Traceback" in text else []
    faults += ["a checkpoint was damaged"] if "is damaged" in text else []
    faults += trainings.differences(trainings.results_of(run), expected)
    faults += trainings.half_written(run)
    if not faults:
        shutil.rmtree(run)
    return faults


def life(
    run: Path | str, images: Path, steps: int, draw, log: Path, soon: float = 0.15
) -> str | None:
    """One life, ended by SIGKILL; what was wrong if it ended in another way.

    soon: how many seconds after a tick, at most, it comes as a rule.
    """
    before = log.stat().st_size if log.exists() else 0
    pid = children.fork(trainings.train, images, run, steps, log=log, session=True)
    code = None
    if draw.random() < 0.25:  # anywhere, mostly before the first step
        code = children.wait(pid, draw.uniform(0, 4))
    else:  # after a tick
        ticks = draw.randint(1, 3)
        while code is None and _ticks(log, before) < ticks:
            code = children.wait(pid, 0.002)
        if code is None:
            code = children.wait(pid, draw.uniform(0, soon))
    if code is None:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:  # it has not begun its session yet
            os.kill(pid, signal.SIGKILL)
        code = children.wait(pid)
    time.sleep(0)
    return (
        None if code in (0, -signal.SIGKILL) else f"ended with {code}: {last_line(log)}"
    )


def _ticks(log: Path, start: int) -> int:
    if not log.exists():
        return 0
    with log.open("rb") as file:
        file.seek(start)
        return file.read().count(b"tick ")


def last_line(log: Path) -> str:
    return (log.read_text(errors="replace").splitlines() or [""])[-1][:200]
