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

WARM = 0.3  # of the run, in which caches fill
# (what, the end as well, of the first half, growth): the least of the second half may
# be so much of that. At the end things are closed, which would hide growth. Pools of a
# fixed size start threads late, when a save happens to need them.
BOUNDS = (
    ("memory", False, min, 1.02),  # of 500 MB, 10
    ("files", False, min, 1),
    ("threads", True, min, 1),
    ("threads", False, max, 1),
)
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
    warm = [s for s in seen if s["tick"] >= WARM * ticks]
    working = [s for s in warm if s["tick"] < ticks]
    faults, found = [], {}
    for name, with_end, highest, growth in BOUNDS:
        values = [s[name] for s in (warm if with_end else working)]
        before, after = values[: len(values) // 2], values[len(values) // 2 :]
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
