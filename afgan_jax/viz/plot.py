"""Line plots as PNG files. The one module that imports matplotlib."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

matplotlib.use("agg")  # no display is needed, or looked for

Points = Sequence[tuple[float, float]]


def log_panels(
    path: str | os.PathLike,
    panels: Mapping[str, Points],
    guides: Mapping[str, Points],
    *,
    ylabel: str,
    guide: str,
    title: str = "",
) -> Path:
    """A panel of (x, y) for each name, both axes in powers of two, under one title.

    `guides` are drawn dashed and named `guide`; the file appears whole or not at all.
    """
    figure = Figure(figsize=(4 * len(panels), 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (name, points) in zip(axes, panels.items()):
        axis.plot(*zip(*guides[name]), "--", color="0.6", label=guide)
        x, y = zip(*points)
        axis.plot(x, y, "o-")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.set_xticks(x, [f"{v:g}" for v in x], minor=False)
        axis.yaxis.set_major_formatter(lambda v, _: f"{v:.3g}")
        axis.set_xlabel(name)
        axis.grid(True, alpha=0.3)
        axis.legend()
    axes[0].set_ylabel(ylabel)
    figure.suptitle(title)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, format="png", dpi=100)
    part.replace(path)
    return path
