"""Hours of training, as many ticks, checkpoints, images and metrics as they have.

A minute is a tick of one step of a tiny network; every tenth writes a checkpoint and
images and measures a metric. The memory of the process and its open files stay flat.
"""

import ctypes
import json
import os
import threading
import time
from pathlib import Path

import children
import trainings

WARM = 0.3  # of the run, in which caches fill; at its end things are closed
# What the least of the second half may be: the least of the first, memory 2 % more
# (of 500 MB, 10); of threads the most, as pools of a fixed size start theirs when a
# save happens to need them.
BOUNDS = (("memory", min, 1.02), ("files", min, 1), ("threads", max, 1))
INTERVAL = 10
PAUSE = 0.02  # seconds between samples: some must fall between two saves


def run(count: int, seed: int, folder: Path) -> dict:
    ticks = max(count, 60)
    images = trainings.write_images(folder / "images")
    samples, log = folder / "samples.json", folder / "run.log"
    arguments = (images, folder / "run", ticks, seed, samples)
    code = children.wait(children.fork(_train, *arguments, log=log))
    if code:
        return {"trials": ticks, "faults": [f"it ended with {code}; see {log}"]}
    seen = json.loads(samples.read_text())
    warm = [s for s in seen if WARM * ticks <= s["tick"] < ticks]
    half = len(warm) // 2
    faults, found = [], {}
    for name, highest, growth in BOUNDS:
        before, after = ([s[name] for s in part] for part in (warm[:half], warm[half:]))
        found[name] = f"{min(before)} then {min(after)}"
        if min(after) > highest(before) * growth:
            faults.append(f"{name} grow: {highest(before)}, then {min(after)}")
    return {"trials": ticks, "faults": faults} | found


def _train(images: Path, workdir: Path, ticks: int, seed: int, samples: Path) -> None:
    seen, is_over = [], threading.Event()

    def watch():
        while not is_over.wait(PAUSE):
            stats = workdir / "stats.jsonl"
            tick = stats.read_bytes().count(b"\n") if stats.exists() else 0
            seen.append({"tick": tick} | _taken())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        trainings.train(
            images,
            workdir,
            ticks,
            **{
                "train.checkpoint_ticks": INTERVAL,
                "train.image_ticks": INTERVAL,
                "train.seed": seed,
                "metrics.names": "eqt32_int",
            },
        )
    finally:
        is_over.set()
        thread.join()
    samples.write_text(json.dumps(seen))


def _taken() -> dict[str, int]:
    """Resident memory in MB, open files and threads of this process.

    What the allocator keeps of freed memory, up to half of it all after compiling, is
    given back first: it would hide growth, or look like some.
    """
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE") // 10**6,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "time": round(time.time()),
    }
