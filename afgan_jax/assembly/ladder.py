"""The ladder of configurations A to R: all rows trained alike and measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tqdm

from afgan_jax import errors, json_files
from afgan_jax import model as models
from afgan_jax.analysis import ladder
from afgan_jax.assembly import settings, training
from afgan_jax.runs import atomic
from afgan_jax.viz import plot

NARROWER = 8
RECORD, FIGURE = "ladder.json", "ladder.png"


def climb(
    config: str,
    workdir: Path,
    rows: Sequence[str] = ladder.ROWS,
    *,
    changes: Mapping[str, Any],
    kimg: float = 16.0,
    samples: int = 64,
    batch: int = 4,
) -> ladder.Results | None:
    """The results of rows of `config`; None if a training was stopped.

    kimg: of each training; 0: none. RECORD and FIGURE in workdir are written after
    every measurement; what they have is not measured again. Raises ValueError as
    `ladder.check_rows` and `ladder.resume`.
    """
    ladder.check_rows(rows)
    given = {"kimg": kimg, "samples": samples, "batch": batch, "config": dict(changes)}
    path = workdir / RECORD
    found = json_files.parse(atomic.read(path), path) if path.exists() else None
    record = ladder.resume(found, given)
    if found is not None:
        atomic.write_json(path, record)
    stages = ladder.STAGES[: 2 if kimg else 1]
    steps = [(row, stage) for row in rows for stage in stages]
    for row, stage in tqdm.tqdm(steps, unit="step", desc="ladder"):
        rungs = record["dB"].setdefault(row, {})
        if stage in rungs:
            continue
        if stage == "untrained":
            model = untrained(f"{config}:{row}", changes)
        else:
            model = trained(f"{config}:{row}:small", workdir / row, changes, kimg)
        if model is None:
            return None
        rungs[stage] = ladder.measure(model, samples, batch)
        atomic.write_json(path, record)
        plot.save(workdir / FIGURE, ladder.figure(record["dB"]))
    return record["dB"]


def untrained(config: str, changes: Mapping[str, Any]) -> models.Model:
    """A row's Model at the paper's resolution, narrower, before training."""
    full = settings.load(config)["generator"]["synthesis"]
    narrow = {
        f"generator.synthesis.{size}": full[size] // NARROWER
        for size in ("channel_base", "channel_max")
    }
    own = {k: v for k, v in changes.items() if k.startswith("generator.")}
    with errors.naming("generator"):
        return models.untrained(settings.load(config, narrow | own)["generator"])


def trained(
    config: str, workdir: Path, changes: Mapping[str, Any], kimg: float
) -> models.Model | None:
    """A row's Model after its training; None if that was stopped."""
    changes = {**changes, "train.total_kimg": kimg}
    is_done = training.train(config, workdir, changes=changes)
    return models.load(workdir) if is_done else None
