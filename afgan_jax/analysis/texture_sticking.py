"""Texture sticking: how much of the detail stays at its pixels while the input moves.

The input moves right by whole pixels u = -reach .. reach. Detail d_u [N H W C] is what
a small low-pass along rows takes away. Over the columns x that stay inside,

    A = power of mean_u d_u(x)        what stays where it is
    B = power of mean_u d_u(x + u)    what follows the input
    L = power of mean_u d_0(x + u), over the power of d_0: what averaging over
        2 reach + 1 places leaves of a texture by chance

If a share s of the power of d_0 stays and a share f follows, A = s + L f and
B = f + L s in units of it, whence s = (A - L B) / (1 - L^2), f = (B - L A) / (1 - L^2),
and the score is s / (s + f). 0: all detail follows the input; 1: all of it is stuck.
Detail that does neither, the rest of 1, counts to neither.

Whole pixels need no interpolation, but what sticks to the pixels of the image itself
they cannot tell, as that repeats with every pixel: layers at lower rates are seen,
those at the full rate are not (EQ-T_frac sees them).

The picture of it is one row of pixels, stacked over time: stuck detail shows as streaks
along time, detail that follows as slanted hair.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float64

from afgan_jax.signal import affine

Images = Float[Array | np.ndarray, "N H W C"]
Frames = Float[Array | np.ndarray, "_N _H W C"]

LOWPASS = np.array([1, 4, 6, 4, 1]) / 16  # takes half the amplitude at 6 pixels a cycle


class Shares(NamedTuple):
    """Of the power of detail, what stays at its pixels and what follows the input."""

    stays: float
    follows: float

    @property
    def score(self) -> float:
        """0: all follows; 1: all is stuck."""
        return self.stays / (self.stays + self.follows)


def measure(
    render: Callable[[Any, Float[Array, "3 3"]], Images],
    batches: Iterable[Any],
    *,
    resolution: int,
    reach: int,
) -> Shares:
    """The shares of all images that `render(batch, transform)` gives, pooled.

    `resolution` is the number of pixels in a canvas width, the unit of transforms.
    """
    sums = np.zeros(4)
    for batch in batches:

        def moved(u, batch=batch):
            return render(batch, shift(u, resolution))

        sums += powers(moved, reach)
    return shares(sums)


def shift(pixels: float, resolution: int) -> Float[Array, "3 3"]:
    """The user transform that moves the picture to the right."""
    return affine.user_transform(0.0, pixels / resolution)


def powers(moved: Callable[[int], Images], reach: int) -> Float64[np.ndarray, "4"]:
    """(A, B, L times the power of d_0, that power), sums over images and pixels.

    `moved(u)` are the images whose input moved right by u pixels. Raises ValueError if
    no column stays inside.
    """
    still = detail(moved(0))
    columns = still.shape[2] - 2 * reach
    if reach < 1 or columns < 1:
        raise ValueError(
            f"reach={reach}: use 1 to {(still.shape[2] - 1) // 2} pixels, so that"
            " columns of the images stay inside"
        )
    stays = follows = chance = 0.0
    for u in range(-reach, reach + 1):
        d = still if u == 0 else detail(moved(u))
        stays = stays + d[:, :, reach : reach + columns]
        follows = follows + d[:, :, reach + u : reach + u + columns]
        chance = chance + still[:, :, reach + u : reach + u + columns]
    n = 2 * reach + 1
    parts = stays / n, follows / n, chance / n, still[:, :, reach : reach + columns]
    return np.array([np.sum(part**2) for part in parts])


def shares(sums: Float64[np.ndarray, "4"]) -> Shares:
    """What `powers`, or sums of them, say. Raises ValueError if there is no detail."""
    *_, power = sums
    if not power > 0:
        raise ValueError("sticking: the images have no detail along their rows")
    A, B, L = sums[:3] / power
    if not A + B > 0:
        raise ValueError("sticking: no detail stays at its pixels or follows the input")
    # Below 0 by rounding and chance only.
    stays, follows = max(A - L * B, 0.0), max(B - L * A, 0.0)
    return Shares(float(stays / (1 - L**2)), float(follows / (1 - L**2)))


def detail(images: Images) -> Float64[np.ndarray, "N H _W C"]:
    """Images less what a low-pass along rows keeps; 2 columns fewer at either end."""
    x = np.asarray(images, np.float64)
    width = x.shape[2] - len(LOWPASS) + 1
    low = sum(tap * x[:, :, k : k + width] for k, tap in enumerate(LOWPASS))
    return x[:, :, len(LOWPASS) // 2 :][:, :, :width] - low


def liveliest_row(image: Float[np.ndarray, "H W C"]) -> int:
    """The row with most detail, of the middle half."""
    h = len(image)
    energy = np.sum(detail(image[None])[0] ** 2, axis=(1, 2))
    return h // 4 + int(np.argmax(energy[h // 4 : max(3 * h // 4, h // 4 + 1)]))


def stack_row(frames: Iterable[Frames], row: int) -> Float[np.ndarray, "T W C"]:
    """Row `row` of every frame, one below the other; frames come in batches."""
    return np.concatenate([np.asarray(images[:, row]) for images in frames])
