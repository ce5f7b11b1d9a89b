"""The ladder of configurations A to R: what is measured of each row, beside the paper.

Images are made as contrasty as photographs first: where all is duller, all is also less
wrong, by as many dB.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from afgan_jax import errors
from afgan_jax.analysis import image_equivariance, published
from afgan_jax.metrics import samples as drawing
from afgan_jax.metrics.sharding import BatchSharding
from afgan_jax.model import Model
from afgan_jax.viz import plot

ROWS = ("a", "b", "c", "d", "e", "f", "g", "h", "t", "r")
STAGES = ("untrained", "trained")
KINDS = image_equivariance.NAMES
PUBLISHED = {
    row: (found.eqt_int, found.eqt_frac, found.eqr)
    for row, found in published.LADDER.items()
    if found.eqt_int
}
CONTRAST = 0.5  # of photographs, about

# {row: {stage: {kind: dB, "contrast": that of the images as they come}}}
Results = Mapping[str, Mapping[str, Mapping[str, float]]]


def check_rows(rows: Sequence[str]) -> Sequence[str]:
    """The rows. Raises ValueError for one that is unknown or there twice."""
    for row in rows:
        if row not in ROWS:
            why = f"is unknown: use some of {','.join(ROWS)}"
            raise errors.SettingError("rows", row, why)
        if rows.count(row) > 1:
            raise errors.SettingError("rows", row, "is given twice")
    return rows


def resume(found: dict | None, settings: dict) -> dict:
    """What was measured before with these settings; ValueError if with others.

    {"unit": "dB", "settings": settings, "dB": Results}. Of a shorter training, only
    what was untrained.
    """
    if found is None:
        return {"unit": "dB", "settings": settings, "dB": {}}
    old = found["settings"]
    if old["kimg"] < settings["kimg"] and old == settings | {"kimg": old["kimg"]}:
        rungs = {row: stages["untrained"] for row, stages in found["dB"].items()}
        decibels = {row: {"untrained": dB} for row, dB in rungs.items()}
        return found | {"settings": settings, "dB": decibels}
    for name, value in settings.items():
        if old[name] != value:
            raise ValueError(
                f"the ladder there was measured with {name}={old[name]}, not {value}:"
                " name another workdir, or the same settings"
            )
    return found


def measure(model: Model, samples: int = 64, batch: int = 4) -> dict[str, float]:
    """dB by kind, at CONTRAST, and what contrast images have; {} if none can move.

    Contrast is the standard deviation of pixels in [-1, 1].
    """
    if not model.can_move:
        return {}
    found = image_equivariance.equivariance(model, samples, batch=batch)
    contrast = _contrast(model, samples, batch)
    louder = 20 * np.log10(CONTRAST / contrast)  # and so are the errors
    decibels = {kind: float(db - louder) for kind, db in found.decibels.items()}
    return decibels | {"contrast": contrast}


def _contrast(model: Model, samples: int, batch: int) -> float:
    network, sharding = drawing.of_model(model), BatchSharding.over(batch)
    images = drawing.drawn(network, sharding, samples)
    return float(np.std(np.concatenate(list(images))))


def figure(results: Results) -> plot.Figure:
    """dB of all rows, beside the paper's, a panel for each kind."""
    panels = {}
    for i, (kind, label) in enumerate(KINDS.items()):
        published = {row: values[i] for row, values in PUBLISHED.items()}
        panels[label] = _columns(results, kind) | {"paper, 256x256": published}
    return plot.mark_panels(panels, order=ROWS, ylabel="dB")


def _columns(results: Results, kind: str) -> dict[str, dict[str, float]]:
    """{stage: {row: dB}} of a kind, where it was measured."""
    return {
        stage: {
            row: rungs[stage][kind]
            for row, rungs in results.items()
            if kind in rungs.get(stage, {})
        }
        for stage in STAGES
    }


def table(results: Results) -> str:
    """Rows of dB and contrast, a column for each of a stage, and the paper's dB."""
    measured, labels = [*KINDS, "contrast"], [*KINDS.values(), "contrast"]
    groups = [f"{stage:>11}" + " " * 11 * len(KINDS) for stage in STAGES]
    lines = ["   " + "".join(groups) + f"{'paper':>11}", "row"]
    labels = labels * len(STAGES) + labels[:-1]
    lines[1] += "".join(f"{label:>11}" for label in labels)
    for row in filter(results.__contains__, ROWS):
        values = [results[row].get(s, {}).get(m) for s in STAGES for m in measured]
        values += PUBLISHED.get(row, (None,) * len(KINDS))
        cells = ["-" if value is None else f"{value:.2f}" for value in values]
        lines.append(f"{row:3}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)
