"""How much a discriminator's logits depend on shifts of its images by parts of a pixel.

Of logits l [S N], of N images under S shifts,

    moving   the standard deviation over shifts, root mean square over images
    kink     the same for what is left when, image by image, the best linear function of
             the shift (right, down) is taken away
    among    the standard deviation over images of the mean over shifts

An image moved by part of a pixel is the same image, so moving / among should be
small. Some dependence is right: logits see places, and change evenly as an image goes
by. Aliases change quickly and return with the grid: they are in the kink.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float64

from afgan_jax.signal import warp

Images = Float[Array | np.ndarray, "N H W C"]
Shifts = Float64[np.ndarray, "S 2"]


class ShiftConsistency(NamedTuple):
    """Standard deviations of logits; see above."""

    moving: float
    kink: float
    among: float


def grid_of_shifts(count: int, reach: float = 0.5) -> Shifts:
    """count^2 shifts (right, down) in pixels, evenly spread over -reach .. reach."""
    steps = reach * ((2 * np.arange(count) + 1) / count - 1)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def shift_consistency(
    discriminator: Callable[[Images, Any], Float[Array, " N"]],
    batches: Iterable[tuple[Images, Any]],
    *,
    shifts: int = 4,
) -> ShiftConsistency:
    """That of discriminator(images, labels) over batches, images in [-1, 1].

    shifts: along either axis. Raises ValueError unless there are 2 at least, and 2
    images.
    """
    places = grid_of_shifts(shifts)
    found = [logits(discriminator, *batch, places) for batch in batches]
    return spreads(np.concatenate(found, axis=1), places)


def logits(
    discriminator: Callable, images: Images, labels: Any, shifts: Shifts
) -> Float64[np.ndarray, "S N"]:
    """Those of one batch under every shift; all of its images move alike."""
    height, width = images.shape[1:3]
    rows = []
    for right, down in shifts:
        moved, _ = warp.translate_mirrored(images, right / width, down / height)
        rows.append(np.asarray(discriminator(moved, labels), np.float64))
    return np.stack(rows)


def spreads(logits: Float64[np.ndarray, "S N"], shifts: Shifts) -> ShiftConsistency:
    """The standard deviations of logits.

    Raises ValueError unless there are 2 images and 4 shifts at least.
    """
    if logits.shape[0] < 4 or logits.shape[1] < 2:
        raise ValueError(
            f"{logits.shape[0]} shifts of {logits.shape[1]} images are too"
            " few: give 4 shifts of 2 images at least"
        )
    design = np.concatenate([np.ones([len(shifts), 1]), shifts], axis=1)
    even = design @ np.linalg.lstsq(design, logits, rcond=None)[0]
    moving = logits - logits.mean(axis=0)
    parts = (moving, logits - even, logits.mean(axis=0) - logits.mean())
    return ShiftConsistency(*(float(np.sqrt(np.mean(s**2))) for s in parts))
