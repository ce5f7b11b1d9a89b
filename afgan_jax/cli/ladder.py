"""Train every row of the ladder alike and measure how exactly its images follow.

python -m afgan_jax ladder --kimg=16 --workdir=runs/ladder

Each row of configs/ablation.py is measured twice: untrained, at the 256x256 of the
paper with an eighth of the channels; and after --kimg thousand images of the Earth at
64x64 from one seed (the row's `:small`); --kimg=0 leaves the training out. Images are
made as contrasty as photographs first: where all is duller, all is also less wrong, by
as many dB.
WORKDIR/ladder.json has the results, in dB, and "contrast", that of the images as they
come, the standard deviation of pixels in [-1, 1]; ladder.png shows them beside the
paper's, and WORKDIR/a to WORKDIR/r are runs like any other. Run it again to go on where
it stopped, or with a larger --kimg to train all rows on to that. Row A has no input
that could be moved: it is trained, not measured.
--config.SECTION.KEY=VALUE changes a setting of all rows, of G in both measurements.
"""

import dataclasses
from pathlib import Path

from afgan_jax.cli import flags

ABLATION = flags.Configuration("ablation")
NARROWER = 8
RECORD, FIGURE = "ladder.json", "ladder.png"


def main(
    workdir: flags.Workdir,
    *,
    kimg: flags.number("kimg", "of each training; 0: none", least=0) = 16.0,
    rows: flags.names("rows", "such as f,g,t; default: all") = (),
    samples: flags.Samples = 64,
    batch: flags.Batch = 4,
    config: flags.Config = ABLATION,
) -> None:
    if "train.total_kimg" in config.changes:
        raise ValueError("--config.train.total_kimg is --kimg here, the same for all")
    # Here, not on top: --help must not wait for JAX.
    import tqdm

    from afgan_jax import json_files
    from afgan_jax.analysis import ladder
    from afgan_jax.runs import atomic
    from afgan_jax.viz import plot

    rows = ladder.check_rows(rows or ladder.ROWS)
    settings = {"kimg": kimg, "samples": samples, "batch": batch}
    settings |= {"config": config.changes}
    path = workdir / RECORD
    found = json_files.parse(path.read_bytes(), path) if path.exists() else None
    record = ladder.resume(found, settings)
    if found is not None:
        atomic.write_json(path, record)
    stages = ladder.STAGES[: 2 if kimg else 1]
    steps = [(row, stage) for row in rows for stage in stages]
    for row, stage in tqdm.tqdm(steps, unit="step", desc="ladder"):
        rungs = record["dB"].setdefault(row, {})
        if stage in rungs:
            continue
        if stage == "untrained":
            model = untrained(row, config)
        else:
            model = trained(row, workdir / row, config, kimg)
        if model is None:
            print("stopped: run the same command to resume")
            return
        rungs[stage] = ladder.measure(model, samples, batch)
        atomic.write_json(path, record)
        plot.save(workdir / FIGURE, ladder.figure(record["dB"]))
    print(ladder.table(record["dB"]))
    print(f"wrote {RECORD} and {FIGURE} to {workdir}")


def untrained(row: str, config: flags.Configuration):
    """The row's Model at the paper's resolution, narrower, before training."""
    from afgan_jax.assembly import settings
    from afgan_jax.cli import sources

    own = flags.Configuration(f"{config.spec}:{row}")
    full = settings.load(own.spec)["generator"]["synthesis"]
    sizes = ("channel_base", "channel_max")
    changes = {f"generator.synthesis.{s}": full[s] // NARROWER for s in sizes}
    changes |= {k: v for k, v in config.changes.items() if k.startswith("generator.")}
    return sources.configured(dataclasses.replace(own, changes=changes))


def trained(row: str, workdir: Path, config: flags.Configuration, kimg: float):
    """The row's Model after its training; None if that was stopped."""
    from afgan_jax import model
    from afgan_jax.assembly import training
    from afgan_jax.runs import run_directory

    changes = config.changes | {"train.total_kimg": kimg}
    training.train(f"{config.spec}:{row}:small", workdir, changes=changes)
    run = run_directory.Run.open(workdir)
    images = run.latest_step() * run.config["updates"]["batch_size"]
    return model.load(workdir) if images >= kimg * 1000 else None
