"""Figures of numbers, and their PNG files. The one module that imports matplotlib."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

matplotlib.use("agg")  # no display is needed, or looked for

Points = Sequence[tuple[float, float]]
Curve = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


def log_panels(
    panels: Mapping[str, Points],
    guides: Mapping[str, Points],
    *,
    ylabel: str,
    guide: str,
    title: str = "",
) -> Figure:
    """A panel of (x, y) for each name, both axes in powers of two, under one title.

    `guides` are drawn dashed and named `guide`.
    """
    figure, axes = _row(len(panels))
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
    return figure


def curve_panels(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    xlabel: str,
    ylabel: str,
    ylim: tuple[float, float],
) -> Figure:
    """A panel for each name, and in it a labelled line for each (x, y)."""
    figure, axes = _row(len(panels))
    for axis, (name, curves) in zip(axes, panels.items()):
        for label, (x, y) in curves.items():
            axis.plot(x, y, label=label)
        axis.set_title(name)
        axis.set_xlabel(xlabel)
        axis.set_ylim(*ylim)
        axis.margins(x=0)
        axis.grid(True, alpha=0.3)
        axis.legend()
    axes[0].set_ylabel(ylabel)
    return figure


def histograms(
    panels: Mapping[str, Float[np.ndarray, " n"]],
    marks: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
    *,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """A panel of how often values occur for each name, with a line at its mark.

    A name that has one of the `bands` has it behind the line. Values that are not
    finite are left out, and counted in the title.
    """
    figure, axes = _row(len(panels))
    for axis, (name, values) in zip(axes, panels.items()):
        finite = values[np.isfinite(values)]
        axis.hist(finite, bins="auto", label="single images")
        if math.isfinite(marks[name]):
            label = f"together, {marks[name]:.1f}"
            axis.axvline(marks[name], color="black", linestyle="--", label=label)
        if name in bands and all(map(math.isfinite, bands[name])):
            low, high = bands[name]
            label = f"95 %, {low:.1f} to {high:.1f}"
            axis.axvspan(low, high, color="black", alpha=0.2, lw=0, label=label)
        axis.legend(fontsize="small")
        left = len(values) - len(finite)
        axis.set_title(name + (f", {left} not finite" if left else ""))
        axis.set_xlabel(xlabel)
        axis.grid(True, alpha=0.3)
    axes[0].set_ylabel(ylabel)
    return figure


def decibels(
    of_images: Mapping[str, Float[np.ndarray, " n"]], results: Mapping[str, float]
) -> Figure:
    """`histograms` of single images' dB, with each metric's result and interval.

    results: {name: dB}, and of the interval {name_low: dB, name_high: dB} if known.
    """
    bands = {
        name: (results[f"{name}_low"], results[f"{name}_high"])
        for name in of_images
        if f"{name}_low" in results
    }
    return histograms(of_images, results, bands, xlabel="dB", ylabel="images")


def heatmap(
    values: Float[np.ndarray, "S S"],
    ticks: Float[np.ndarray, " S"],
    *,
    levels: Sequence[float],
    label: str,
    unit: str,
    title: str = "",
) -> Figure:
    """Values as colours, cut to the range of `levels`, at which contours are drawn.

    `ticks` are the positions of rows and of columns; `label` names both axes.
    """
    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axis = figure.subplots()
    low, high = min(levels), max(levels)
    filled = axis.contourf(
        *(ticks, ticks, np.clip(values, low, high)), np.linspace(low, high, 121)
    )
    bar = figure.colorbar(filled, ticks=levels, label=unit)
    crossed = [level for level in levels if values.min() < level < values.max()]
    if crossed:  # matplotlib warns of contours that are nowhere
        look = {"colors": "black", "linewidths": 0.5, "alpha": 0.4}
        bar.add_lines(axis.contour(ticks, ticks, values, crossed, **look))
    axis.set_aspect("equal")
    axis.set(xlabel=f"{label}, horizontal", ylabel=f"{label}, vertical", title=title)
    return figure


def layers(
    names: Sequence[str],
    curves: Mapping[str, Sequence[float | None]],
    guides: Mapping[str, Sequence[float | None]],
    *,
    ylabel: str,
    title: str = "",
) -> Figure:
    """A curve for each name of `curves`, over layers by name; None leaves a gap.

    `guides` are dashed and lie on top.
    """
    figure = Figure(figsize=(2 + 0.6 * len(names), 4.5), layout="constrained")
    axis = figure.subplots()
    for style, group in (("o-", curves), ("k--", guides)):
        for i, (name, values) in enumerate(group.items()):
            y = [math.nan if value is None else value for value in values]
            axis.plot(range(len(names)), y, style, label=name, alpha=1 / (1 + i / 2))
    axis.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axis.set_ylabel(ylabel)
    axis.set_title(title)
    axis.grid(True, alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure


def mark_panels(
    panels: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    *,
    order: Sequence[str],
    ylabel: str,
) -> Figure:
    """A panel for each name, and in it marks {label: {item: y}} over the items.

    Items stand in the given order.
    """
    figure, axes = _row(len(panels))
    for axis, (name, series) in zip(axes, panels.items()):
        for mark, (label, values) in zip("os_D^v", series.items()):
            found = [values.get(item) for item in order]
            y = [math.nan if value is None else value for value in found]
            axis.plot(range(len(order)), y, mark, label=label, markersize=7, mew=2)
        axis.set_xticks(range(len(order)), [item.upper() for item in order])
        axis.set_title(name)
        axis.grid(True, alpha=0.3)
    axes[0].set_ylabel(ylabel)
    axes[0].legend()
    return figure


def blank(size: tuple[float, float]) -> Figure:
    """An empty figure of so many inches, which finds the room for its labels itself."""
    return Figure(figsize=size, layout="constrained")


def panels(
    count: int, columns: int, size: tuple[float, float], **options
) -> tuple[Figure, list]:
    """(figure, its `count` axes) in rows of so many columns, each `size` inches.

    `options` are those of Figure.subplots; what is over in the last row stays empty.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    wide, high = columns * size[0], rows * size[1] + 0.5
    figure = blank((wide, high))
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, list(axes[:count])


def save(path: str | os.PathLike, figure: Figure, *, dpi: int = 100) -> Path:
    """The path of a PNG, which appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        figure.savefig(part, format="png", dpi=dpi)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _row(count: int):
    """(figure, axes) of so many panels side by side."""
    figure = Figure(figsize=(4 * count, 3.6), layout="constrained")
    return figure, figure.subplots(1, count, sharey=True, squeeze=False)[0]
