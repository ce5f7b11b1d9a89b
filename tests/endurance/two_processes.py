"""Signals to either of two processes that train together, at random instants.

The other must end within a minute, with nothing but one line on which process was lost,
or both stop and save after SIGTERM. The same command must then bring the run to the
state of one that nothing disturbed, bit for bit.
"""

import dataclasses
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import time
import types
from pathlib import Path

from processes import free_address

SIGNALS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
STEPS = 60
SILENCE = 5  # seconds; the rule of training.peers with a shorter time
LIMIT = 60  # seconds for the other process to end
LOST = r"process # of # \(pid # on .*\) was lost(: .*)?; run the same command .*"
STOPPING = r"stopping: saving at # kimg|saved: run the same command to resume"


@dataclasses.dataclass
class Job:
    processes: list
    logs: list[Path]
    joined: list[Path]

    def wait(self, seconds: float) -> bool:
        """Whether all processes end in this time."""
        end = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0, end - time.monotonic()))
        return all(process.exitcode is not None for process in self.processes)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()

    def lines(self, index: int) -> set[str]:
        """What a process said, with # for numbers."""
        text = self.logs[index].read_text(errors="replace")
        return {re.sub(r"-?\d[\d.]*|nan|inf", "#", line) for line in text.splitlines()}


def run(count: int, seed: int, folder: Path) -> dict:
    """Does `count` trials in folder; returns their number and all that went wrong."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = ""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "training.test_preemption"])
    draw, faults = random.Random(seed), []
    reference = folder / "reference"
    job = _begin(context, reference, free_address())
    _await(job)
    begun = time.monotonic()
    assert job.wait(300) and not any(p.exitcode for p in job.processes), job.logs
    duration = time.monotonic() - begun
    usual = job.lines(0) | job.lines(1)
    for trial in range(count):
        number, victim = draw.choice(SIGNALS), draw.randrange(2)
        instant = draw.uniform(0, duration)
        place = folder / f"trial{trial}"
        found = _try(context, place, number, victim, instant, usual)
        found += _differences(place, reference)
        what = f"{trial}: {number.name} to process {victim} after {instant:.2f} s: "
        faults += [what + fault for fault in found]
        print(what + (" ".join(found) or "as it must be"), file=sys.stderr)
        if not found:
            shutil.rmtree(place)
    return {"trials": count, "faults": faults}


def _try(context, place, number, victim: int, instant: float, usual) -> list[str]:
    """Disturbs a job and runs its command again; what went wrong."""
    address, found = free_address(), []
    job = _begin(context, place, address)
    _await(job)
    time.sleep(instant)
    hit, other = job.processes[victim], job.processes[1 - victim]
    is_running = hit.exitcode is None
    if is_running:
        os.kill(hit.pid, number)
    other.join(LIMIT)
    if other.exitcode is None:
        found.append(f"the other still runs {LIMIT} s later")
    if number == signal.SIGTERM:
        hit.join(5)
    codes = (hit.exitcode, other.exitcode)
    job.kill()
    dies = number.value if number != signal.SIGSTOP else signal.SIGKILL.value
    said = [line for line in job.lines(1 - victim) if re.fullmatch(LOST, line)]
    allowed = {
        (-dies, 134): 1,  # lost
        (-dies, 0): 0,  # lost when all had been done
        (None, 134): 1,  # stopped
        (None, 0): 0,
        (0, 0): 0,  # the signal came too late, or both have saved
    }
    if len(said) != allowed.get(codes, -1):
        found.append(f"exit codes {codes} and {len(said)} lines")
    for index in range(2):
        for line in job.lines(index) - usual:
            if not re.fullmatch(f"{LOST}|{STOPPING}", line):
                found.append(f"process {index} said {line[:200]!r}")
    again = _begin(context, place, address, ".again")
    if not again.wait(120):
        found.append("the same command does not end")
    again.kill()
    codes = [process.exitcode for process in again.processes]
    if codes != [0, 0]:
        found.append(f"the same command ends with {codes}")
    return found


def _differences(place: Path, reference: Path) -> list[str]:
    """How the run differs from one that nothing disturbed."""
    found = []
    last = Path("checkpoints") / str(STEPS) / "checksums" / "metadata"
    if not (place / last).is_file():
        found.append("the last checkpoint is missing")
    elif (place / last).read_bytes() != (reference / last).read_bytes():
        found.append("the final state differs")
    for part in (Path(), Path("checkpoints")):
        names = {path.name for path in (place / part).iterdir()}
        usual = {path.name for path in (reference / part).iterdir()}
        odd = {name for name in names - usual if not name.isdigit()}
        found += [f"{name} is left" for name in sorted(odd)]
    for step in (place / "checkpoints").iterdir():
        if step.name.isdigit() and not (step / "checksums" / "metadata").is_file():
            found.append(f"checkpoint {step.name} is not complete")
    for file in place.glob("*.jsonl"):
        try:
            [json.loads(line) for line in file.read_text().splitlines()]
        except ValueError:
            found.append(f"{file.name} has a broken line")
    return found


def _begin(context, place: Path, address: str, mark: str = "") -> Job:
    logs = [place.with_suffix(f"{mark}.{index}.log") for index in range(2)]
    joined = [log.with_suffix(".joined") for log in logs]
    place.parent.mkdir(parents=True, exist_ok=True)
    for path in joined:
        path.unlink(missing_ok=True)
    processes = [
        context.Process(target=_train, args=(place, i, address, logs[i], joined[i]))
        for i in range(2)
    ]
    for process in processes:
        process.start()
    return Job(processes, logs, joined)


def _await(job: Job) -> None:
    """Waits until both processes have met."""
    while not all(path.exists() for path in job.joined):
        assert all(process.exitcode is None for process in job.processes), job.logs
        time.sleep(0.01)


def _train(place: Path, index: int, address: str, log: Path, joined: Path) -> None:
    """One process of the job."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    import jax
    from training import counting

    from afgan_jax import errors
    from afgan_jax.runs import run_directory
    from afgan_jax.training import loop, peers

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        with peers.joined(address, 2, index, heartbeat=SILENCE):
            joined.touch()
            with run_directory.Run.create_or_open(place, {"counting": {}}) as run:
                loop.train(
                    run,
                    counting.program(),
                    _batches,
                    _Samples(),
                    _evaluate,
                    batch_size=counting.BATCH,
                    total_kimg=STEPS * counting.BATCH / 1000,
                    tick_kimg=6 * counting.BATCH / 1000,
                    checkpoint_ticks=1,
                    image_ticks=1,
                )
    except errors.Stopped as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _batches(start: int):
    from training import counting

    for batch in counting.batches(start):
        time.sleep(0.02)
        yield batch


class _Samples:
    def reals(self):
        return None

    def fakes(self, variables, name):
        _compute_together()


def _evaluate(G_ema):
    _compute_together()
    row = types.SimpleNamespace(lower=True)
    yield types.SimpleNamespace(name="none", row=row), {"none": 1.0}, 0.1, None


def _compute_together() -> None:
    """What samples and metrics take: computations of all processes."""
    import numpy as np
    from jax.experimental import multihost_utils

    for _ in range(10):
        multihost_utils.process_allgather(np.array(1))
        time.sleep(0.02)
