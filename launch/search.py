"""Trains variants of a small setting for the same processor time, and compares them.

    python launch/search.py --workdir=runs/search --minutes=12
    python launch/search.py --workdir=runs/search --minutes=12 --seeds=1 --only=t,r

Each variant is a line of VARIANTS: a config and flags of the verb `train`, which runs
in a process of its own, on one core, and is stopped after so many minutes of that core,
compiling included; `metrics` then measures its average on all real images. As many are
trained at a time as there are cores. Results are lines of WORKDIR/results.jsonl; what
is there is not trained again, so a search may be interrupted and go on. Ends with a
table, best first; "floor" are images of other places, which no training has seen.
"""

import argparse
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures
from pathlib import Path

METRIC = "fd2k_efficientnet_full"
FLOOR, UNSEEN = "floor", 8501  # views of the globe, of which about a third are kept
S = "--config.generator.synthesis."
MAP = "--config.generator.mapping."
D = "--config.discriminator."
U = "--config.updates."
L = "--config.losses."
PAIRS = f"{L}objective=relativistic"
VARIANTS = {  # name: what of the config, and flags
    "r": "r",
    "t": "t",
    "a": "a",
    "r-lr*2": f"r {U}G_lr=0.008",
    "r-lr*4": f"r {U}G_lr=0.016",
    "r-both-lr*2": f"r {U}G_lr=0.008 {U}D_lr=0.004",
    "r-shallow": f"r {S}num_layers=5",
    "r-narrow": f"r {S}channel_base=1024 {S}channel_max=40",
    "r-wide": f"r {S}channel_base=3072 {S}channel_max=96",
    "a-lr*2": f"a {U}G_lr=0.008",
    "t-gamma/3": f"t {L}r1_gamma=0.1",
    "t-gamma*3": f"t {L}r1_gamma=1",
    "t-batch4": f"t {U}batch_size=4",
    "t-batch16": f"t {U}batch_size=16",
    "t-lr/2": f"t {U}G_lr=0.002",
    "t-lr*2": f"t {U}G_lr=0.008",
    "t-lr*4": f"t {U}G_lr=0.016",
    "t-both-lr*2": f"t {U}G_lr=0.008 {U}D_lr=0.004",
    "t-D_lr*2": f"t {U}D_lr=0.004",
    "t-ema/2": f"t {U}ema_kimg=0.5",
    "t-ema*2": f"t {U}ema_kimg=2",
    "t-D-narrow": f"t {D}channel_base=512 {D}channel_max=48",
    "t-D-wide": f"t {D}channel_base=2048 {D}channel_max=96",
    "t-D-kaiser": f"t {D}lowpass=kaiser",
    "t-narrow": f"t {S}channel_base=512 {S}channel_max=28",
    "t-wide": f"t {S}channel_base=1536 {S}channel_max=64",
    "t-shallow": f"t {S}num_layers=5",
    "t-deep": f"t {S}num_layers=9",
    "t-taps6": f"t {S}filter_size=6",
    "t-taps2": f"t {S}filter_size=2",
    "t-margin3": f"t {S}margin=3",
    "t-w128": f"t {MAP}z_dim=128 {MAP}w_dim=128",
    "t-ada": "t --config.augment.mode=ada",
    "t-measured": f"t {U}ema_buffers=measured",
    "t-pairs": f"t {PAIRS} {U}D_reg_interval=None",
    "t-pairs-lazy": f"t {PAIRS}",
    "t-mixing": f"t {L}style_mixing_prob=0.9",
    "t-1000-images": "t --config.data.max_images=1000",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--config", default="earth32", help="takes :r, :t and :a")
    parser.add_argument("--minutes", type=float, default=12.0, help="of one core")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(VARIANTS), help="names, by commas")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    names = given.only.split(",")
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        parser.error(f"--only={unknown[0]} is unknown: use of {', '.join(VARIANTS)}")
    given.workdir.mkdir(parents=True, exist_ok=True)
    results = given.workdir / "results.jsonl"
    have = {(row["name"], row["seed"]) for row in rows(results)}
    wanted = [(name, seed) for seed in range(given.seeds) for name in names]
    cores, writing = queue.SimpleQueue(), threading.Lock()
    for core in sorted(os.sched_getaffinity(0))[: given.cores]:
        cores.put(core)

    def one(name: str, seed: int) -> None:
        core = cores.get()
        try:
            found = trial(given, name, seed, core)
        finally:
            cores.put(core)
        with writing:
            write(results, {"name": name, "seed": seed, **found})

    with futures.ThreadPoolExecutor(given.cores) as pool:
        running = [pool.submit(one, *what) for what in wanted if what not in have]
        try:
            for done in futures.as_completed(running):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if (FLOOR, 0) not in have:
        write(results, {"name": FLOOR, "seed": 0, "kimg": 0, **floor(given.config)})
    print(table(rows(results)))
    return 0


def write(results: Path, row: dict) -> None:
    with results.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(row, flush=True)


def floor(config: str) -> dict:
    """{metric: value} of images of other places in place of generated ones."""
    from afgan_jax.assembly import settings
    from afgan_jax.data import archive, earth, sets
    from afgan_jax.metrics import evaluation, registry, samples

    data = settings.load(config)["data"] | {"mirror": False}
    with tempfile.TemporaryDirectory() as folder:
        unseen = Path(folder) / "unseen.zip"
        archive.write_archive(unseen, earth.tiles(UNSEEN, data["resolution"]))
        given = archive.Archive.open(unseen, max_images=2000)
        reals = samples.of_archive(sets.open_set(cache_dir=folder, **data))
        measured = evaluation.measure(
            registry.parse_all((METRIC,)),
            samples.of_archive(given),
            lambda: reals,
            weights={},
            batch=16,
        )
        return next(found.values for _, found, _ in measured)


def trial(given, name: str, seed: int, core: int) -> dict:
    """Trains and measures a variant on this core: {kimg, metric: value}."""
    folder = given.workdir / f"{name.replace('/', '_')}-{seed}"
    configuration, *flags = VARIANTS[name].split()
    found, log = folder / "search.json", folder.with_suffix(".log")

    def started(*command: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "afgan_jax", *command],
            stdout=out,
            stderr=out,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )

    shutil.rmtree(folder, ignore_errors=True)  # a part of another time
    with log.open("w") as out:
        process = started(
            "train",
            f"--config={given.config}:{configuration}",
            f"--workdir={folder}",
            *flags,
            f"--config.train.seed={seed}",
            "--config.train.total_kimg=1000000",
        )
        while processor_s(process) < 60 * given.minutes:
            if process.poll() is not None:
                raise SystemExit(f"{name} ended with {process.returncode}: see {log}")
            time.sleep(1)
        process.send_signal(signal.SIGTERM)
        codes = [process.wait()]
        for verb, *rest in (
            ("metrics", f"--metrics={METRIC}", f"--out={found}"),
            ("generate", "--seeds=0-63", f"--outdir={folder / 'images'}"),
        ):
            codes.append(started(verb, f"--run={folder}", *rest).wait())
    if any(codes):
        raise SystemExit(f"{name} ended with {codes}: see {log}")
    stats = (folder / "stats.jsonl").read_text().splitlines()
    kimg = json.loads(stats[-1])["Progress/kimg"]["mean"]
    return {"kimg": kimg, **json.loads(found.read_text())}


def processor_s(process: subprocess.Popen) -> float:
    """The processor time of a process so far, all its threads."""
    ticks = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")")[1].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def rows(results: Path) -> list[dict]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines()]


def table(found: list[dict]) -> str:
    """Of each variant: the mean of the metric, its values, and kimg."""
    lines = ["| variant | mean | each seed | kimg |", "| --- | --- | --- | --- |"]
    by_name = {}
    for row in found:
        by_name.setdefault(row["name"], []).append(row)

    def mean(rows: list[dict]) -> float:
        return statistics.mean(row[METRIC] for row in rows)

    for name, of in sorted(by_name.items(), key=lambda item: mean(item[1])):
        each = ", ".join(f"{row[METRIC]:.1f}" for row in of)
        kimg = statistics.mean(row["kimg"] for row in of)
        lines.append(f"| `{name}` | {mean(of):.1f} | {each} | {kimg:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
