"""Trains variants of a small setting for the same wall time each, and compares them.

    python launch/search.py --workdir=runs/search --minutes=8
    python launch/search.py --workdir=runs/search --minutes=8 --seeds=1 --only=t,t-pairs

Each variant is a line of VARIANTS: flags of the verb `train`, which runs in a process
of its own and is stopped after so many minutes, compiling included; `metrics` then
measures its average on all real images. Results are lines of WORKDIR/results.jsonl;
what is there is not trained again, so a search may be interrupted and go on. Ends with
a table, best first; "floor" are images of other places, which no training has seen.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

METRIC = "fd2k_efficientnet_full"
FLOOR, UNSEEN = "floor", 8501  # views of the globe, of which about a third are kept
S = "--config.generator.synthesis."
T = f"{S}conv_kernel=3 {S}radial=False {S}channel_base=768 {S}channel_max=40"
PAIRS = "--config.losses.objective=relativistic --config.updates.D_reg_interval=None"
A = f"{S}kind=stylegan2"
VARIANTS = {  # name: flags beside --config=earth32
    "r": "",
    "t": T,
    "t-gamma0.1": f"{T} --config.losses.r1_gamma=0.1",
    "t-gamma1": f"{T} --config.losses.r1_gamma=1",
    "t-batch4": f"{T} --config.updates.batch_size=4",
    "t-batch16": f"{T} --config.updates.batch_size=16",
    "t-lr": f"{T} --config.updates.G_lr=0.0025",
    "t-lr-D": f"{T} --config.updates.D_lr=0.004",
    "t-ema": f"{T} --config.updates.ema_kimg=2",
    "t-D-wide": f"{T} --config.discriminator.channel_base=2048",
    "t-D-kaiser": f"{T} --config.discriminator.lowpass=kaiser",
    "t-ada": f"{T} --config.augment.mode=ada",
    "t-measured": f"{T} --config.updates.ema_buffers=measured",
    "t-pairs": f"{T} {PAIRS}",
    "t-pairs-lazy": f"{T} --config.losses.objective=relativistic",
    "t-taps6": f"{T} {S}filter_size=6",
    "t-taps2": f"{T} {S}filter_size=2",
    "t-wide": f"{T} {S}channel_base=1536 {S}channel_max=64",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--config", default="earth32")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(VARIANTS), help="names, by commas")
    given = parser.parse_args()
    names = given.only.split(",")
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        parser.error(f"--only={unknown[0]} is unknown: use of {', '.join(VARIANTS)}")
    given.workdir.mkdir(parents=True, exist_ok=True)
    results = given.workdir / "results.jsonl"
    for seed in range(given.seeds):
        for name in names:
            if (name, seed) not in {(r["name"], r["seed"]) for r in rows(results)}:
                row = {"name": name, "seed": seed, **trial(given, name, seed)}
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)
    if not any(row["name"] == FLOOR for row in rows(results)):
        row = {"name": FLOOR, "seed": 0, "kimg": 0, **floor(given.config)}
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")
    print(table(rows(results)))
    return 0


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


def trial(given, name: str, seed: int) -> dict:
    """Trains and measures a variant: {kimg, metric: value}."""
    folder = given.workdir / f"{name}-{seed}"
    command = ["train", f"--config={given.config}", f"--workdir={folder}"]
    command += [*VARIANTS[name].split(), f"--config.train.seed={seed}"]
    command += ["--config.train.total_kimg=1000000"]
    with (given.workdir / f"{name}-{seed}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "afgan_jax", *command], stdout=log, stderr=log
        )
        try:
            process.wait(60 * given.minutes)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        if process.wait():
            raise SystemExit(f"{name} ended with {process.returncode}: see {log.name}")
    found = folder / "search.json"
    verb("metrics", f"--run={folder}", f"--metrics={METRIC}", f"--out={found}")
    verb("generate", f"--run={folder}", "--seeds=0-63", f"--outdir={folder / 'images'}")
    stats = (folder / "stats.jsonl").read_text().splitlines()
    kimg = json.loads(stats[-1])["Progress/kimg"]["mean"]
    return {"kimg": kimg, **json.loads(found.read_text())}


def verb(*command: str) -> None:
    subprocess.run([sys.executable, "-m", "afgan_jax", *command], check=True)


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
