"""How a run learns: rows of its pictures, curves of its statistics and metrics."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from afgan_jax.viz import enlarge, grid, plot

ROWS, COLUMNS = 8, 10  # of a strip, at most
CURVES = {  # panel: {label: statistic}
    "losses": {"G": "Loss/G/loss", "D": "Loss/D/loss"},
    "D's output": {"real": "Loss/scores/real", "generated": "Loss/scores/fake"},
    "speed": {"": "Timing/images_per_sec"},
}
UNITS = {"losses": "nats", "D's output": "logits", "speed": "images per second"}


def shown(kimgs: Sequence[int | None]) -> list[int | None]:
    """At most ROWS of these, from the first to the last; None, untrained, is first."""
    if None in kimgs:  # the picture of the first step shows nothing else
        kimgs = [kimg for kimg in kimgs if kimg != 0]
    ordered = sorted(kimgs, key=lambda kimg: -1 if kimg is None else kimg)
    at = np.linspace(0, len(ordered) - 1, min(ROWS, len(ordered)))
    return [ordered[i] for i in at.round().astype(int)]


def strip(
    sheets: Mapping[int | None, UInt8[np.ndarray, "_H _W _C"]],
    size: tuple[int, int],
    columns: int,
) -> UInt8[np.ndarray, "_H _W _C"]:
    """The first images of each sheet in a row, under its kimg.

    sheets: by kimg; of the same latents, images [H W] in so many columns.
    """
    rows = []
    for sheet in sheets.values():
        width, count = sheet.shape[1] // columns, min(columns, COLUMNS)
        height = width * size[0] // size[1]
        line = sheet[:height, : count * width].reshape(height, count, width, -1)
        rows.append(enlarge.enlarged(line.swapaxes(0, 1), columns=count))
    said = ["untrained" if kimg is None else f"{kimg} kimg" for kimg in sheets]
    return grid.strip(rows, said)


@plot.styled
def curves(
    stats: Sequence[Mapping], metrics: Mapping[str, Sequence[tuple[float, float]]]
) -> plot.Figure:
    """Curves over kimg: CURVES of the lines of stats.jsonl, and a panel a metric.

    metrics: points (kimg, value) by name.
    """
    panels = {title: _points(stats, names) for title, names in CURVES.items()}
    panels |= {name: {"": points} for name, points in metrics.items()}
    figure, axes = plot.panels(len(panels), 3, (4.2, 2.8))
    for axis, (title, lines) in zip(axes, panels.items()):
        for label, points in lines.items():
            x, y = np.array(points, float).reshape(-1, 2).T
            axis.plot(x, y, "o-" if title in metrics else "-", label=label, ms=4)
        if len(lines) > 1:
            axis.legend()
        axis.set_title(title)
        axis.set(xlabel="kimg", ylabel=UNITS.get(title, ""))
    return figure


def _points(stats: Sequence[Mapping], names: Mapping[str, str]) -> dict[str, list]:
    """{label: (kimg, mean) of a statistic}, where it is finite."""
    return {
        label: [
            (line["nimg"] / 1000, line[name]["mean"])
            for line in stats
            if line.get(name, {}).get("mean") is not None
        ]
        for label, name in names.items()
    }
