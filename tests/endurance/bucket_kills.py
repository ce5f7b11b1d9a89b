"""SIGKILL at random instants of a training in a bucket, which then goes on elsewhere.

Each life is on one of MACHINES, which have nothing in common but the bucket. The end
must be that of an undisturbed training in a folder, bit for bit: see kills.py. Nothing
unfinished may be left in the bucket, and no lock.
"""

import os
import random
import shutil
from pathlib import Path

import buckets
import children
import jax
import kills
import trainings

MACHINES = 3
KILLS = 10  # of each training
STEPS = 24


def run(count: int, seed: int, folder: Path) -> dict:
    images = trainings.write_images(folder / "images")
    # Compiled programs are found by the name of their folder: one for all machines.
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    calm = folder / "calm"
    code = children.wait(
        children.fork(trainings.train, images, calm, STEPS, log=folder / "calm.log")
    )
    assert code == 0, (folder / "calm.log").read_text()
    expected = trainings.results_of(calm)

    def trial(number: int) -> list[str]:
        some = min(KILLS, count - number * KILLS)
        draw = random.Random(f"{seed} {number}")
        place = folder / f"run-{number}"
        place.mkdir()
        return _one(place, images, some, draw, expected)

    with buckets.served():
        runs = -(-count // KILLS)
        faults = children.run(trial, runs, folder, chunk=1, patience=1800)
    return {"trials": count, "faults": faults}


def _one(place: Path, images: Path, count: int, draw, expected) -> list[str]:
    """The faults of one training that is killed so many times."""
    url, log, faults = f"gs://bkt/{place.name}", place / "log", []
    for kill in range(count):
        _move_to(place, draw.randrange(MACHINES))
        steps = min(STEPS, 2 + STEPS * (kill + 1) // count)
        soon = draw.choice((0.3, 3))  # a save takes a part of a second, or some
        wrong = kills.life(url, images, steps, draw, log, soon)
        if wrong is not None:
            faults.append(f"kill {kill}: {wrong}")
    for machine in range(2):  # to the end; and once more, which restores alone
        _move_to(place, machine)
        if not _done(trainings.train, images, url, STEPS, log=log):
            return [*faults, f"the last life failed: {kills.last_line(log)}"]
    assert _done(_download, url, place / "copy", log=log)
    text = log.read_text(errors="replace")
    faults += ["a traceback"] if "Traceback" in text else []
    faults += ["a checkpoint was damaged"] if "is damaged" in text else []
    faults += trainings.differences(trainings.results_of(place / "copy"), expected)
    steps = {file.parent.name for file in place.glob("copy/checkpoints/*/commit*")}
    left = {p.name for p in place.glob("copy/checkpoints/[0-9]*")} - steps
    faults += [f"step {step} is left unfinished" for step in left]
    faults += ["the lock is left"] if (place / "copy" / ".lock").exists() else []
    if not faults:
        shutil.rmtree(place)
    return faults


def _move_to(place: Path, machine: int) -> None:
    os.environ["AFGAN_CACHE"] = str(place / f"machine-{machine}")


def _done(function, *arguments, log: Path) -> bool:
    """Whether function(*arguments) succeeds, in a process of its own."""
    return children.wait(children.fork(function, *arguments, log=log)) == 0


def _download(url: str, folder: Path) -> None:
    from afgan_jax.runs import bucket

    there = bucket.Bucket(url)
    for name in there.names():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(there.read(name)[0])
