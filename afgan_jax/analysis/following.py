"""How networks that restore images depend on where the pixels of an image lie.

Each network restores images, and the same images after a motion, input and target
alike. For every motion, with the same part of an image in view:

    loss       mean squares, reconstruction less image
    mean       the loss of all images when moved over that when unmoved
    each       by what part an image's own loss changes: root mean square
    following  of the loss, what the reconstruction of the moved image differs by from
               the moved reconstruction: mean squares
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from afgan_jax import errors
from afgan_jax.analysis import plane, tables
from afgan_jax.signal import pixels
from afgan_jax.viz import grid, plot

SEEN, INNER = 80, 40  # pixels: what networks are shown, and what of it is judged
QUANTITIES = {  # title, title of a figure
    "mean": ("loss", "loss when moved, % of that when unmoved"),
    "each": ("each", "change of an image's loss, %"),
    "following": ("not following", "part that does not follow, % of the loss"),
}


class Moves(NamedTuple):
    """Motions of one kind: amount a moves images as motion(a) = (right, angle)."""

    amounts: Sequence[float]
    motion: Callable[[float], tuple[float, float]]


MOVES = {
    "shift, pixels": Moves((0.25, 0.5, 1, 1.5, 2, 3, 4), lambda a: (a, 0.0)),
    "turn, degrees": Moves((2, 5, 10, 20, 30, 45), lambda a: (0.0, math.radians(a))),
}
SHOWN = {  # caption: (right, angle)
    "unmoved": (0.0, 0.0),
    "moved right by half a pixel": (0.5, 0.0),
    "turned by 30 degrees": (0.0, math.radians(30)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Following:
    """Of each network the loss, and the quantities above by kind of motion.

    rows[network][kind][quantity] are numbers for the amounts of moves[kind].
    """

    losses: dict[str, float]
    rows: dict[str, dict[str, dict[str, list[float]]]]
    moves: Mapping[str, Moves]

    def figure(self, quantity: str) -> plot.Figure:
        """A quantity in per cent against the motion, a panel for each kind.

        Raises SettingError for a name that is not in QUANTITIES.
        """
        errors.check_known("quantity", quantity, QUANTITIES)
        curves = {
            kind: {
                network: (np.array(amounts, float), 100 * np.array(of[kind][quantity]))
                for network, of in self.rows.items()
            }
            for kind, (amounts, _) in self.moves.items()
        }
        top = max(y.max() for panel in curves.values() for _, y in panel.values())
        labels = {"xlabel": "moved by", "ylabel": QUANTITIES[quantity][1]}
        figure = plot.curve_panels(curves, **labels, ylim=(0, 1.05 * float(top)))
        for axis, kind in zip(figure.axes, curves):
            axis.set(title="", xlabel=kind)
        return figure

    def table(self) -> str:
        """A line for each motion; columns in per cent, of all networks."""
        gaps = [""] * (len(self.losses) - 1)
        heads = [head for title, _ in QUANTITIES.values() for head in (title, *gaps)]
        lines = [["", *heads], ["%, moved by", *len(QUANTITIES) * list(self.losses)]]
        for kind, (amounts, _) in self.moves.items():
            for i, amount in enumerate(amounts):
                kinds = [of[kind] for of in self.rows.values()]
                found = [rows[q][i] for q in QUANTITIES for rows in kinds]
                lines.append([f"{amount:zg} ({kind})", *(100 * v for v in found)])
        return tables.aligned(lines, 3)


def measure(
    networks: Mapping[str, plane.Network],
    images: plane.Images,
    moves: Mapping[str, Moves] = MOVES,
) -> Following:
    """How the networks, which restore images, follow those motions of the images."""
    still = images.seen(SEEN)
    made = {name: plane.Images(run(still)) for name, run in networks.items()}
    losses = {n: float(_power(made[n].seen(SEEN) - still).mean()) for n in networks}
    rows = {n: {k: {q: [] for q in QUANTITIES} for k in moves} for n in networks}
    for kind, (amounts, motion) in moves.items():
        for amount in amounts:
            target = images.seen(SEEN, *motion(amount))
            for name, run in networks.items():
                moved = made[name].seen(SEEN, *motion(amount))
                found = _compared(target, moved, plane.disc(run(target)))
                for quantity, value in found.items():
                    rows[name][kind][quantity].append(value)
    return Following(losses, rows, moves)


def strip(
    networks: Mapping[str, plane.Network], images: plane.Images, count: int = 8
) -> UInt8[np.ndarray, "_H _W C"]:
    """The first images unmoved, shifted and turned, with what networks make of them."""
    rows, captions = [], []
    for caption, motion in SHOWN.items():
        seen = images.seen(SEEN, *motion)[:count]
        for name, run in {"images": lambda x: x, **networks}.items():
            row = pixels.to_uint8(plane.middle(run(seen), INNER))
            rows.append(row.repeat(2, axis=1).repeat(2, axis=2))
            captions.append(f"{name}, {caption}")
    return grid.strip(rows, captions)


def _compared(target, moved, made) -> dict[str, float]:
    """The quantities of one motion, for moved and new reconstructions."""
    before, after = _power(moved - target), _power(made - target)
    found = {
        "mean": after.mean() / before.mean(),
        "each": np.sqrt(np.mean((after / before - 1) ** 2)),
        "following": _power(made - moved).mean() / before.mean(),
    }
    return {name: float(value) for name, value in found.items()}


def _power(images: plane.Batch) -> Float64[np.ndarray, " N"]:
    """Mean squares over the inner pixels."""
    inner = plane.middle(images, INNER).astype(np.float64)
    return np.mean(inner**2, axis=(1, 2, 3))
