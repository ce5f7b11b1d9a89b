"""A campaign against the product: kills, damage, malformed files, faults, long runs.

    python tests/endurance                    all parts in full, which takes hours
    python tests/endurance --share=0.1        a tenth of each
    python tests/endurance kills damage       some parts

Prints a line for every fault and a table; ends with 1 if there were faults.
"""

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent import futures
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]
os.environ |= {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
# Small programs are kept as well, for what is done to the cache of those.
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

# part: (module, trials in full, what a trial is)
PARTS = {
    "kills": ("kills", 1000, "SIGKILL of a training, then resumed"),
    "bucket": ("bucket_kills", 100, "SIGKILL of a training in a bucket, then resumed"),
    "damage": ("damage", 1300, "flipped bit, or truncation, of a file"),
    "malformed": ("malformed", 1000, "malformed file from elsewhere"),
    "file-faults": ("file_faults", 200, "fault of the file system"),
    "two-processes": ("two_processes", 40, "signal to one of two processes"),
    "long-run": ("long_run", 480, "minute of simulated training"),
}


def _run(module: str, count: int, seed: int, folder: Path) -> dict:
    return importlib.import_module(module).run(count, seed, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []])
    parser.add_argument("--share", type=float, default=1.0, help="of the full counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="keep the folders")
    given = parser.parse_args()
    rows, bad = [], 0
    for part in given.parts or PARTS:
        module, full, what = PARTS[part]
        count = max(1, round(full * given.share))
        folder = Path(tempfile.mkdtemp(prefix=f"endurance-{part}-"))
        print(f"{part}: {count} x {what}", file=sys.stderr)
        begun = time.monotonic()
        # In a process of its own: parts change settings and the environment.
        with futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as one:
            found = one.submit(_run, module, count, given.seed, folder).result()
        minutes = (time.monotonic() - begun) / 60
        for fault in found["faults"]:
            print(f"FAULT {part}: {fault}")
        bad += len(found["faults"])
        more = "; ".join(
            f"{k}: {v}" for k, v in found.items() if k not in ("trials", "faults")
        )
        rows.append(
            f"| {part} | {found['trials']} | {len(found['faults'])} |"
            f" {minutes:.1f} | {more} |"
        )
        if given.keep or found["faults"]:
            print(f"its files are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    print("| part | trials | faults | minutes | found |")
    print("| --- | --- | --- | --- | --- |")
    print("\n".join(rows))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
