"""Equivariance of a model's images: numbers in dB, strips and animations.

Captions have angles in degrees and shifts in pixels.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from afgan_jax.analysis import tables
from afgan_jax.metrics import equivariance as metric
from afgan_jax.metrics import samples as drawing
from afgan_jax.metrics.sharding import BatchSharding
from afgan_jax.model import Label, Model
from afgan_jax.signal import pixels
from afgan_jax.viz import enlarge, grid, plot

Latent = Float[np.ndarray | Array, "1 L w_dim"]

NAMES = {"eqt_int": "EQ-T", "eqt_frac": "EQ-T_frac", "eqr": "EQ-R"}
ANGLES = (0, 15, 30, 45, 60, 75, 90)
SHIFTS = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5)
DRIFT = 1.5  # pixels, the radius of the circle on which images drift


@dataclasses.dataclass(frozen=True, eq=False)
class Equivariance:
    """(squared error, mask) sums of each sample, by kind of motion."""

    sums: dict[str, metric.Sums]

    @property
    def decibels(self) -> dict[str, float]:
        """PSNR over all samples, by kind."""
        return {kind: metric.psnr(sums) for kind, sums in self.sums.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals of `decibels`, by kind."""
        return {k: metric.confidence_interval(sums) for k, sums in self.sums.items()}

    def figure(self) -> plot.Figure:
        """Histograms of the samples' dB, by kind."""
        each = {NAMES[k]: metric.psnr_of_each(sums) for k, sums in self.sums.items()}
        results = {NAMES[k]: value for k, value in self.decibels.items()}
        for kind, (low, high) in self.intervals.items():
            results |= {f"{NAMES[kind]}_low": low, f"{NAMES[kind]}_high": high}
        return plot.decibels(each, results)


def equivariance(
    model: Model,
    samples: int = 1000,
    *,
    labels: Label | None = None,
    batch: int = 16,
    seed: int = 0,
    kinds: Sequence[str] = tuple(NAMES),
) -> Equivariance:
    """EQ-T, EQ-T_frac and EQ-R of a model, the same for any batch and devices.

    labels: as in `samples.of_model`. Raises ValueError for a model whose input cannot
    be moved, and for missing labels.
    """
    check_moves(model)
    network = drawing.of_model(model, labels, seed=seed)
    options = {"num_samples": samples, "seed": seed, "kinds": kinds}
    over = BatchSharding.over(batch)
    return Equivariance(metric.measure_network(network, over, **options))


def of_motion(
    model: Model,
    ws: Latent,
    *,
    rotate: float = 0.0,
    translate: tuple[float, float] = (0.0, 0.0),
) -> dict[str, float]:
    """EQ-T_frac of this one shift, and EQ-R of this one turn, of the image of ws.

    By the names of `NAMES`; without those that are no motion, or that leave nothing of
    the image to compare. Raises ValueError for a model whose input cannot be moved.
    """
    check_moves(model)
    amounts = {"eqt_frac": [translate]} if any(translate) else {}
    amounts |= {"eqr": [rotate]} if rotate else {}

    def render(numbers, transforms):
        return model.synthesize(np.repeat(ws, len(numbers), 0), transform=transforms)

    sums = metric.sample_errors(render, amounts, batch_size=1) if amounts else {}
    return {NAMES[k]: metric.psnr(v) for k, v in sums.items() if v[0, 1]}


def check_moves(model: Model) -> None:
    """Raises ValueError if the model's input cannot be moved."""
    if not model.can_move:
        raise ValueError("this is a StyleGAN2 generator: it has no input to move")


def with_and_without_filters(model: Model) -> dict[str, Model]:
    """{"filters on": the model, "filters off": the same without low-pass filters}."""
    check_moves(model)
    return {"filters on": model, "filters off": model.without_filters()}


def choose_ws(
    model: Model,
    labels: Int[np.ndarray, "M"] | Float[np.ndarray, "M c_dim"] | None = None,
    *,
    seeds: Sequence[int] = tuple(range(32)),
    psi: float = 0.7,
) -> Latent:
    """ws of the seed whose image shows motion well, by its contrast of colours.

    Seed i has label i, modulo their number; without labels, None.
    """
    c = labels[np.asarray(seeds) % len(labels)] if model.c_dim else None
    ws = jax.device_get(model.ws(seeds, label=c, psi=psi))
    images = model.synthesize(ws)
    # Images of the very highest contrast are often defective.
    colours = np.clip(images[..., 0] - images[..., min(2, images.shape[3] - 1)], -1, 1)
    chosen = np.argsort(np.std(colours, axis=(1, 2)))[len(seeds) * 7 // 8]
    return ws[chosen : chosen + 1]


def strip(
    models: Mapping[str, Model], ws: Latent, *, squares: bool = False
) -> UInt8[np.ndarray, "_H _W C"]:
    """One w rotated and, below, shifted by fractions of a pixel, by each model.

    squares: as in `enlarge.enlarged`, for small images.
    """
    rows, captions = [], []
    for name, model in models.items():
        rotations = [{"rotate": math.radians(angle)} for angle in ANGLES]
        shifts = [{"translate": (s / model.unit, 0.0)} for s in SHIFTS]
        rows += [_moved(model, ws, moves, squares) for moves in (rotations, shifts)]
        captions += [
            f"{name}: rotated by {', '.join(map(str, ANGLES))} degrees",
            f"{name}: shifted by {', '.join(map(str, SHIFTS))} pixels",
        ]
    return grid.strip(rows, captions)


def film(
    models: Mapping[str, Model], ws: Latent, frames: int = 48, *, squares: bool = False
) -> list[UInt8[np.ndarray, "_H _W C"]]:
    """Frames of one w that turns once and, below, drifts on a circle, by each model."""
    turns = [2 * math.pi * i / frames for i in range(frames)]
    radius = DRIFT / next(iter(models.values())).unit
    motions = {
        "turned": [{"rotate": turn} for turn in turns],
        f"moved on a circle of {DRIFT:g} pixels": [
            {"translate": (radius * math.cos(turn), radius * math.sin(turn))}
            for turn in turns
        ],
    }
    names = ", ".join(models)
    captions = [f"{names}: {motion}" for motion in motions]
    rows = [
        np.stack([_moved(model, ws, moves, squares) for model in models.values()], 1)
        for moves in motions.values()
    ]
    return [grid.strip(images, captions, gap=4) for images in zip(*rows)]


def table(decibels: Mapping[str, Mapping[str, float]]) -> str:
    """Rows of dB by model, a column for each kind."""
    rows = [[name, *(values[k] for k in NAMES)] for name, values in decibels.items()]
    return tables.aligned([["dB", *NAMES.values()], *rows])


def _moved(
    model: Model, ws: Latent, motions: Sequence[dict[str, Any]], squares: bool
) -> np.ndarray:
    images = [model.synthesize(ws, **motion)[0] for motion in motions]
    return enlarge.enlarged(pixels.to_uint8(np.stack(images)), squares=squares)
