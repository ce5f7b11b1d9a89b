"""Figures of numbers, and their PNG files. The one module that imports matplotlib.

All have the style of viz.style, which leaves matplotlib's own as it is.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image

from afgan_jax.viz import grid, style

matplotlib.use("agg")  # needs no display

CYCLE = {"axes.prop_cycle": matplotlib.cycler(color=style.COLOURS)}
styled = matplotlib.rc_context(style.SETTINGS | CYCLE)  # a decorator of what draws

Points = Sequence[tuple[float, float]]
Curve = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


@styled
def log_panels(
    panels: Mapping[str, Points],
    guides: Mapping[str, Points],
    *,
    ylabel: str,
    guide: str,
    title: str = "",
) -> Figure:
    """A panel of points (x, y) for each name, both axes in powers of two.

    guides: dashed lines, all labelled `guide`.
    """
    figure, axes = _row(len(panels), ylabel)
    for axis, (name, points) in zip(axes, panels.items()):
        axis.plot(*zip(*guides[name]), "--", color="0.6", label=guide)
        x, y = zip(*points)
        axis.plot(x, y, "o-")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.set_xticks(x, [f"{v:g}" for v in x], minor=False)
        axis.yaxis.set_major_formatter(lambda v, _: f"{v:z.3g}")
        axis.set_xlabel(name)
        axis.legend()
    figure.suptitle(title)
    return figure


@styled
def curve_panels(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    xlabel: str,
    ylabel: str,
    ylim: tuple[float, float],
) -> Figure:
    """A panel for each name, with a labelled line for each (x, y)."""
    figure, axes = _row(len(panels), ylabel)
    for axis, (name, curves) in zip(axes, panels.items()):
        for label, (x, y) in curves.items():
            axis.plot(x, y, label=label)
        axis.set_title(name)
        axis.set_xlabel(xlabel)
        axis.set_ylim(*ylim)
        axis.margins(x=0)
        axis.legend()
    return figure


@styled
def decibels(
    of_images: Mapping[str, Float[np.ndarray, " n"]], results: Mapping[str, float]
) -> Figure:
    """A histogram of single images' dB for each metric, with its result and interval.

    results: {name: dB}, and {name_low: dB, name_high: dB} of known intervals. Values
    that are not finite are left out, and counted in the title.
    """
    figure, axes = _row(len(of_images), "images")
    for axis, (name, values) in zip(axes, of_images.items()):
        finite = values[np.isfinite(values)]
        axis.hist(finite, bins="auto", label="single images")
        if math.isfinite(results[name]):
            label = f"pooled, {results[name]:z.1f}"
            axis.axvline(results[name], color="black", linestyle="--", label=label)
        low, high = (results.get(f"{name}_{end}", math.nan) for end in ("low", "high"))
        if math.isfinite(low) and math.isfinite(high):
            label = f"95 %, {low:z.1f} to {high:z.1f}"
            axis.axvspan(low, high, color="black", alpha=0.2, lw=0, label=label)
        axis.legend()
        left = len(values) - len(finite)
        axis.set_title(name + (f", {left} not finite" if left else ""))
        axis.set_xlabel("dB")
    return figure


@styled
def heatmap(
    values: Float[np.ndarray, "H W"],
    rows: Float[np.ndarray, " H"],
    columns: Float[np.ndarray, " W"],
    *,
    levels: Sequence[float],
    label: str,
    unit: str,
    title: str = "",
) -> Figure:
    """Values as colours, clipped to the range of `levels`, with contours at these.

    rows, columns: their positions. label: of both axes.
    """
    figure = blank((5.6, 4.8))
    axis = figure.subplots()
    low, high = min(levels), max(levels)
    filled = axis.contourf(
        *(columns, rows, np.clip(values, low, high)), np.linspace(low, high, 121)
    )
    bar = figure.colorbar(filled, ticks=levels, label=unit)
    crossed = [level for level in levels if values.min() < level < values.max()]
    if crossed:  # matplotlib warns of contours that are nowhere
        look = {"colors": "black", "linewidths": 0.5, "alpha": 0.4}
        bar.add_lines(axis.contour(columns, rows, values, crossed, **look))
    axis.set_aspect("equal")
    axis.set(xlabel=f"{label}, horizontal", ylabel=f"{label}, vertical", title=title)
    return figure


@styled
def layers(
    names: Sequence[str],
    curves: Mapping[str, Sequence[float | None]],
    guides: Mapping[str, Sequence[float | None]],
    *,
    ylabel: str,
    title: str = "",
) -> Figure:
    """A curve over the layers for each name; None leaves a gap. `guides` are dashed."""
    figure, (axis,) = panels(1, 1, (2 + 0.6 * len(names), 4.0))
    for look, group in (("o-", curves), ("k--", guides)):
        for i, (name, values) in enumerate(group.items()):
            y = np.array(values, float)  # None becomes NaN
            axis.plot(range(len(names)), y, look, label=name, alpha=1 / (1 + i / 2))
    axis.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axis.set_ylabel(ylabel)
    axis.set_title(title)
    figure.legend(loc="outside right upper")
    return figure


@styled
def mark_panels(
    panels: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    *,
    order: Sequence[str],
    ylabel: str,
) -> Figure:
    """A panel for each name, with marks {label: {item: y}} over items in `order`."""
    figure, axes = _row(len(panels), ylabel)
    for axis, (name, series) in zip(axes, panels.items()):
        for mark, (label, values) in zip("os_D^v", series.items()):
            y = np.array([values.get(item) for item in order], float)
            axis.plot(range(len(order)), y, mark, label=label, markersize=7, mew=2)
        axis.set_xticks(range(len(order)), [item.upper() for item in order])
        axis.set_title(name)
    axes[0].legend()
    return figure


@styled
def blank(size: tuple[float, float]) -> Figure:
    """An empty figure of this size in inches, with room for labels."""
    return Figure(figsize=size)


@styled
def panels(
    count: int, columns: int, size: tuple[float, float], **options
) -> tuple[Figure, list]:
    """(figure, its `count` axes) in rows of `columns`, each of `size` in inches.

    options: of Figure.subplots. The rest of the last row is empty.
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
    """Writes a PNG, and returns its path. An older file stays until it is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    with Image.open(drawn) as opened:
        grid.save_figure(path, np.asarray(opened.convert("RGB")))
    return path


def _row(count: int, ylabel: str) -> tuple[Figure, list]:
    """(figure, axes) of `count` panels side by side with one y axis."""
    figure, axes = panels(count, count, (4.0, 3.1), sharey=True)
    axes[0].set_ylabel(ylabel)
    return figure, axes
