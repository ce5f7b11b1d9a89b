"""How much a discriminator's logits depend on shifts by fractions of a pixel.

For logits [S N] of N images under S shifts,

    moving   standard deviation over shifts, root mean square over images
    kink     the same after subtracting, from each image's logits, their best linear
             function of the shift (right, down)
    among    standard deviation over images of the mean over shifts

A shift by a fraction of a pixel shows the same image, so moving / among should be
small. Logits may depend on the position, and then change smoothly. Aliases change
quickly and repeat with the pixel grid: they are in the kink.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float64

from afgan_jax import jax_settings
from afgan_jax.signal import warp

Images = Float[Array | np.ndarray, "N H W C"]
Shifts = Float64[np.ndarray, "S 2"]


class ShiftConsistency(NamedTuple):
    """Standard deviations of logits, defined above."""

    moving: float
    kink: float
    among: float


def grid_of_shifts(count: int, reach: float = 0.5) -> Shifts:
    """count^2 shifts (right, down) in pixels, evenly spaced in -reach .. reach."""
    steps = reach * ((2 * np.arange(count) + 1) / count - 1)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


@jax_settings.fixed()
def shift_consistency(
    discriminator: Callable[[Images, Any], Float[Array, " N"]],
    batches: Iterable[tuple[Images, Any]],
    *,
    shifts: int = 4,
) -> ShiftConsistency:
    """That of discriminator(images, labels) over batches, images in [-1, 1].

    shifts: along each axis. Raises ValueError for fewer than 2 shifts or images.
    """
    places = grid_of_shifts(shifts)
    found = [logits(discriminator, *batch, places) for batch in batches]
    return spreads(np.concatenate(found, axis=1), places)


def logits(
    discriminator: Callable, images: Images, labels: Any, shifts: Shifts
) -> Float64[np.ndarray, "S N"]:
    """The logits of one batch under each shift."""
    height, width = images.shape[1:3]
    rows = []
    for right, down in shifts:
        moved, _ = warp.translate_mirrored(images, right / width, down / height)
        rows.append(np.float64(jax.device_get(discriminator(moved, labels))))
    return np.stack(rows)


def spreads(logits: Float64[np.ndarray, "S N"], shifts: Shifts) -> ShiftConsistency:
    """The deviations. Raises ValueError for fewer than 4 shifts or 2 images."""
    if logits.shape[0] < 4 or logits.shape[1] < 2:
        raise ValueError(
            f"{logits.shape[0]} shifts of {logits.shape[1]} images are too few: give"
            " at least 4 shifts of 2 images"
        )
    design = np.concatenate([np.ones([len(shifts), 1]), shifts], axis=1)
    linear = design @ np.linalg.lstsq(design, logits, rcond=None)[0]
    moving = logits - logits.mean(axis=0)
    parts = (moving, logits - linear, logits.mean(axis=0) - logits.mean())
    return ShiftConsistency(*(float(np.sqrt(np.mean(s**2))) for s in parts))
