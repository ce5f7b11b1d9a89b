"""The ladder of configurations A to R, measured and compared with the paper.

dB are corrected to the contrast of photographs: in images of less contrast, errors are
smaller by the same factor.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from afgan_jax import errors
from afgan_jax.analysis import image_equivariance, published, tables
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
    """The rows. Raises ValueError for unknown rows and duplicates."""
    for row in rows:
        if row not in ROWS:
            why = f"is unknown: use some of {','.join(ROWS)}"
            raise errors.SettingError("rows", row, why)
        if rows.count(row) > 1:
            raise errors.SettingError("rows", row, "is given twice: give it once")
    return rows


def resume(found: dict | None, settings: dict) -> dict:
    """{"unit": "dB", "settings": settings, "dB": Results} with earlier results `found`.

    Results of a shorter training keep only the untrained stage. Raises ValueError if
    other settings differ.
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
            why = f"differs from {old[name]} of the ladder in workdir: use another one"
            raise errors.SettingError(name, value, why)
    return found


def measure(model: Model, samples: int = 64, batch: int = 4) -> dict[str, float]:
    """dB by kind, corrected to CONTRAST, and "contrast", the one measured.

    Contrast is the standard deviation of pixels in [-1, 1]. {} for a model whose input
    cannot be moved.
    """
    if not model.can_move:
        return {}
    found = image_equivariance.equivariance(model, samples, batch=batch)
    contrast = _contrast(model, samples, batch)
    gain = 20 * np.log10(CONTRAST / contrast)  # of the errors, too
    decibels = {kind: float(db - gain) for kind, db in found.decibels.items()}
    return decibels | {"contrast": contrast}


def _contrast(model: Model, samples: int, batch: int) -> float:
    network, sharding = drawing.of_model(model), BatchSharding.over(batch)
    images = drawing.drawn(network, sharding, samples)
    return float(np.std(np.concatenate(list(images))))


def figure(results: Results) -> plot.Figure:
    """dB of all rows and the paper's, a panel for each kind."""
    panels = {}
    for i, (kind, label) in enumerate(KINDS.items()):
        marks = {
            stage: {row: dB.get(stage, {}).get(kind) for row, dB in results.items()}
            for stage in STAGES
        }
        published = {row: values[i] for row, values in PUBLISHED.items()}
        panels[label] = marks | {"paper, 256x256": published}
    return plot.mark_panels(panels, order=ROWS, ylabel="dB")


def table(results: Results) -> str:
    """Rows of dB and contrast, columns for each stage, and the paper's dB."""
    measured, labels = [*KINDS, "contrast"], [*KINDS.values(), "contrast"]
    blank = [""] * len(KINDS)
    head = ["", *(cell for stage in STAGES for cell in (stage, *blank))]
    lines = [[*head, "paper", *blank[1:]], ["row", *labels * len(STAGES), *labels[:-1]]]
    for row in filter(results.__contains__, ROWS):
        values = [results[row].get(s, {}).get(m) for s in STAGES for m in measured]
        lines.append([row, *values, *PUBLISHED.get(row, (None,) * len(KINDS))])
    return tables.aligned(lines)
