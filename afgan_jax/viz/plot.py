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
    *,
    ylabel: str,
    slopes: Mapping[str, float],
    title: str = "",
) -> Path:
    """A panel of (x, y) for each name, both axes in powers of two, under one title.

    A dashed line through a panel's last point rises as x ** slopes[name].
    """
    figure = Figure(figsize=(4 * len(panels), 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (name, points) in zip(axes, panels.items()):
        x, y = zip(*points)
        guide = [y[-1] * (v / x[-1]) ** slopes[name] for v in x]
        axis.plot(x, guide, "--", color="0.6", label=f"slope {slopes[name]:g}")
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
