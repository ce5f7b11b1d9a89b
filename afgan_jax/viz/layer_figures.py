"""Figures of the layers of an alias-free generator, from `analysis.layer_report`.

Frequencies are in cycles per shorter side, gains and powers in dB. Inputs and
upsampling are blue, outputs and downsampling orange.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from afgan_jax.viz import grid, plot, style

UP, DOWN, OUT = style.COLOURS[:3]
AXIS = "cycles in the shorter side"
LOWEST = -120.0  # dB
SHOWN = 112  # pixels of a feature map's height


@plot.styled
def staircase(rows: Sequence[Mapping]) -> plot.Figure:
    """Cutoffs, stopbands and Nyquist frequencies of the layers, as steps."""
    figure, (axis,) = plot.panels(1, 1, (4.0 + 0.5 * len(rows), 4.2))
    x, edges = np.arange(len(rows)), np.arange(len(rows) + 1) - 0.5
    column = {k: np.array([row[k] for row in rows], float) for k in STAIRS}
    look = {"color": DOWN, "alpha": 0.12, "lw": 0, "label": "transition band"}
    low, high = column["cutoff"], column["stopband"]
    axis.stairs(high, edges, baseline=low, fill=True, **look)
    for name, (label, factor, look) in STAIRS.items():
        axis.stairs(column[name] * factor, edges, baseline=None, label=label, **look)
    for i in np.flatnonzero([row["critical"] for row in rows]):
        label = None if any(row["critical"] for row in rows[:i]) else "critical layer"
        axis.axvspan(i - 0.5, i + 0.5, color="0.9", zorder=-1, label=label)
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axis.set_xticks(x, [row["name"] for row in rows], rotation=60, ha="right")
    least = np.append(column["half_width"], low)
    axis.set_ylim(bottom=0.8 * least[least > 0].min())
    axis.set(xlim=(-0.5, len(rows) - 0.5), ylabel=AXIS)
    axis.set_title("bands and sampling rates", loc="left")
    figure.legend(loc="outside right upper")
    return figure


# column: (label, factor, style of the line), from the top down
STAIRS = {
    "inner_rate": ("inner Nyquist frequency", 0.5, {"color": "0.6", "ls": "--"}),
    "rate": ("Nyquist frequency s/2", 0.5, {"color": "0.35", "lw": 3.5}),
    "stopband": ("stopband $f_c + f_h$", 1, {"color": DOWN, "lw": 1.8}),
    "cutoff": ("cutoff $f_c$", 1, {"color": UP, "lw": 1.8}),
    "half_width": ("half width $f_h$", 1, {"color": OUT, "lw": 1, "ls": "-."}),
}


@plot.styled
def filter_bank(rows: Sequence[Mapping]) -> plot.Figure:
    """Impulse and frequency responses of layers with filters, two layers to a row."""
    figure, axes = plot.panels(2 * len(rows), 4, (3.6, 2.2))
    for row, impulse, response in zip(rows, axes[::2], axes[1::2]):
        for side, colour in (("up", UP), ("down", DOWN)):
            if row[side]:
                _impulse(impulse, side, row[side], colour)
                _response(response, side, row[side], colour)
        impulse.set_title(row["name"], loc="left", fontsize="medium")
        response.set_title(_attenuations(row), loc="right", fontsize="small")
        response.set(xlim=(0, row["inner_rate"] / 2), ylim=(LOWEST, 8))
        labels = ("samples at the inner rate", "taps"), (AXIS, "dB")
        for axis, (x, y) in zip((impulse, response), labels):
            axis.set_xlabel(x, fontsize="small")
            axis.set_ylabel(y, fontsize="small")
            axis.tick_params(labelsize="small")
    handles, labels = _legend(axes[1::2])
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def _impulse(axis, side: str, found: Mapping, colour: str) -> None:
    taps = np.array(found["taps"])
    x = np.arange(len(taps)) - (len(taps) - 1) / 2
    offset = -0.12 if side == "up" else 0.12  # shows both where they are equal
    axis.vlines(x + offset, 0, taps, color=colour, lw=1.2)
    axis.plot(x + offset, taps, "o", color=colour, ms=3)
    axis.axhline(0, color="0.5", lw=0.6)


def _response(axis, side: str, found: Mapping, colour: str) -> None:
    x = np.array(found["frequencies"])
    axis.plot(x, found["response"], color=colour, lw=1.2, label=f"{side} filter")
    if side == "down":
        look = {"color": colour, "lw": 0.8, "ls": ":"}
        label = "down filter along the diagonal"
        axis.plot(x, found["diagonal"], **look, label=label)
    axis.axvspan(found["cutoff"], found["stopband"], color=colour, alpha=0.1, lw=0)
    if found["designed"] is not None:
        look = {"color": colour, "lw": 1.1, "ls": "--"}
        label = f"its attenuation by design ({side})"
        axis.hlines(-found["designed"], found["stopband"], x[-1], **look, label=label)


def _attenuations(row: Mapping) -> str:
    parts = []
    for side in ("up", "down"):
        if row[side] and row[side]["attenuation"] is not None:
            parts.append(f"{side} {row[side]['attenuation']:z.0f} dB")
    return f"reaches {', '.join(parts)}" if parts else ""


def _legend(axes) -> tuple[list, list]:
    """(handles, labels) of all axes, each label once."""
    found = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


@plot.styled
def spectra(rows: Sequence[Mapping]) -> plot.Figure:
    """Spectra before, inside and after each nonlinearity, three layers to a row."""
    figure, axes = plot.panels(len(rows), 3, (4.2, 2.8), sharey=True)
    for row, axis in zip(rows, axes):
        for stage, (label, look) in STAGES.items():
            x, y = row[stage]["frequencies"], row[stage]["level"]
            axis.plot(x, y, **look, label=label)
        look = {"color": DOWN, "alpha": 0.1, "lw": 0}
        label = "transition band of the output"
        axis.axvspan(row["cutoff"], row["stopband"], **look, label=label)
        axis.axvline(row["rate"] / 2, color="0.4", ls="--", lw=0.9, label=NYQUIST)
        axis.set_title(_title(row), fontsize="medium")
        axis.set(xlim=(0, row["inner_rate"] / 2), ylim=(LOWEST, 10), xlabel=AXIS)
    for axis in axes[::3]:
        axis.set_ylabel("power, dB")
    handles, labels = _legend(axes)
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


NYQUIST = "Nyquist frequency of the output"
# stage: (label, style of the line)
STAGES = {
    "upsampled": ("upsampled, before the nonlinearity", {"color": UP, "lw": 1.2}),
    "activated": ("after it", {"color": DOWN, "lw": 2.0}),
    "filtered": ("low-passed again", {"color": OUT, "lw": 1.2}),
    "out": ("decimated: the output", {"color": "black", "lw": 1.0, "ls": ":"}),
}


def _title(row: Mapping) -> str:
    if row["removed"] is None:
        return row["name"]
    return f"{row['name']}: {row['removed']:z.0f} dB removed beyond the stopband"


@plot.styled
def waves(
    found: Mapping,
    maps: Float[np.ndarray, "waves H W"],
    mixed: Float[np.ndarray, "channels H W"],
    channels: Sequence[int],
) -> plot.Figure:
    """The disc of frequencies, some of the waves, and the first layer's input."""
    count = max(len(channels), 1)
    figure = plot.blank((5.2 + 1.5 * count, 4.4))
    left, right = figure.subfigures(1, 2, width_ratios=(5.2, 1.5 * count))
    axis = left.subplots()
    x, y = np.array(found["frequencies"]).T
    size = 16 if len(x) < 200 else 6
    dots = axis.scatter(x, y, c=found["use"], s=size, cmap="viridis_r", vmin=0)
    left.colorbar(dots, label="weight in the learned mix (rms)", shrink=0.8)
    turn = np.linspace(0, 2 * np.pi, 200)
    circle = found["cutoff"] * np.array([np.cos(turn), np.sin(turn)])
    axis.plot(*circle, color=UP, label="cutoff $f_c$")
    look = {"s": 70, "lw": 1.5, "fc": "none", "ec": DOWN, "label": "shown"}
    axis.scatter(x[channels], y[channels], **look)
    axis.set(xlabel=f"{AXIS}, horizontal", ylabel=f"{AXIS}, vertical", aspect="equal")
    limit = 1.4 * found["cutoff"]  # room for the legend
    axis.set(xlim=(-limit, limit), ylim=(limit, -limit))  # downwards, as in images
    axis.set_title(f"{len(x)} waves")
    axis.legend(loc="upper right")
    panels = right.subplots(2, count, squeeze=False)
    for line, values, name in zip(panels, (maps, mixed), ("wave", "channel")):
        for axis, number, image in zip(line, channels, values):
            _image(axis, image, f"{name} {number}", found)
    right.supxlabel("shorter sides", fontsize="small")
    right.suptitle("waves, and below channels of their mix, which layer 0 reads")
    return figure


def _image(axis, image, title: str, found: Mapping) -> None:
    """A map in its own range, its canvas framed; axes in units of its shorter side."""
    height, width = (n / found["rate"] / 2 for n in image.shape)
    axis.imshow(image, cmap="RdBu_r", extent=(-width, width, height, -height))
    y, x = (n / found["rate"] / 2 for n in found["canvas"])
    axis.plot([-x, x, x, -x, -x], [-y, -y, y, y, -y], "k", lw=0.7)
    axis.set_title(title, fontsize="small")
    axis.set(xticks=[-0.5, 0.5], yticks=[])
    axis.tick_params(labelsize="x-small")


def feature_maps(
    rows: Sequence[Mapping], maps: Mapping[str, np.ndarray]
) -> UInt8[np.ndarray, "_H _W 3"]:
    """A row of maps [H W C] for each layer: blue below 0, red above, canvas framed.

    Each map has its own range.
    """
    lines, captions = [], []
    for row in rows:
        h, w = row["canvas"]
        images = [
            _coloured(m, row["canvas"]) for m in np.moveaxis(maps[row["name"]], 2, 0)
        ]
        lines.append(np.stack(images))
        captions.append(
            f"{row['name']}, channels {', '.join(map(str, row['channels']))}:"
            f" {row['size'][1]}x{row['size'][0]} samples, canvas {w:g}x{h:g},"
            f" rms {row['rms']:z.2g}"
        )
    return grid.strip(lines, captions, gap=4)


def _coloured(
    values: Float[np.ndarray, "H W"], canvas: Sequence[float]
) -> UInt8[np.ndarray, "h w 3"]:
    """An image SHOWN pixels high: white 0, red positive, blue negative.

    Full colour is the largest magnitude on the canvas; the margin is clipped to it.
    """
    margins = [max(int((n - m) // 2), 0) for n, m in zip(values.shape, canvas)]
    inside = values[tuple(slice(m, n - m) for m, n in zip(margins, values.shape))]
    x = np.clip(values / max(np.abs(inside).max(), 1e-12), -1, 1)
    image = 1 - np.stack([np.maximum(-x, 0), np.abs(x), np.maximum(x, 0)], axis=-1)
    shown = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    size = (round(SHOWN * x.shape[1] / x.shape[0]), SHOWN)
    sampling = Image.Resampling.NEAREST if SHOWN >= len(x) else Image.Resampling.BOX
    drawn = shown.resize(size, sampling)
    if canvas[0] < x.shape[0] or canvas[1] < x.shape[1]:
        each = zip(x.shape[::-1], canvas[::-1])
        edges = [((n - m) / 2 / n, (n + m) / 2 / n) for n, m in each]
        (left, right), (top, bottom) = edges
        w, h = size
        box = (left * w, top * h, right * w - 1, bottom * h - 1)
        ImageDraw.Draw(drawn).rectangle([round(v) for v in box], outline="black")
    return np.array(drawn)
