"""Images on the plane, seen in any position, and how networks follow their motion.

Images [N H W C] lose what is above a disc of frequencies, whose corners turning would
move out of reach. After that a motion takes nothing from them, and images seen after
it (shifts in pixels to the right, angles counterclockwise) are exact to about a
thousandth of their power. They are seen without their borders, of which only the
mirror image is known.
"""

import functools
import math
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float
from scipy import fft, ndimage

from afgan_jax import jax_settings
from afgan_jax.signal import bandlimit

Batch = Float[Array | np.ndarray, "N H W C"]
Square = Float[np.ndarray, "N S S C"]
Network = Callable[[Batch], Batch]

# For factor 1.1: a disc up to the Nyquist frequency, whose corners nothing turns into.
DISC = bandlimit.Design(cutoff=0.85, stopband=1.1, taps=12, radial=True)
FINER = 4  # times, the grid between whose pixels splines interpolate


class Images:
    """Images, to be looked at in any position."""

    def __init__(self, images: Batch):
        images = disc(images)
        self.size = images.shape[1:3]
        # Finer with no frequency lost or added (mirrored at the borders), and between
        # those pixels cubic splines: off by less than 1e-4.
        waves = fft.dctn(images, axes=(1, 2), norm="forward")
        finer = [(0, (FINER - 1) * n) for n in self.size]
        waves = np.pad(waves, [(0, 0), *finer, (0, 0)])
        fine = fft.idctn(waves, axes=(1, 2), norm="forward")
        for axis in (1, 2):
            fine = ndimage.spline_filter1d(fine, 3, axis, np.float32, "reflect")
        self._splines = fine

    def seen(self, size: int, right: float = 0.0, angle: float = 0.0) -> Square:
        """The middle [N size size C] after a turn about it, then a shift."""
        y, x = np.meshgrid(*2 * [np.arange(size) - (size - 1) / 2], indexing="ij")
        x = x - right
        x, y = (  # counterclockwise on the screen, where y goes down
            math.cos(angle) * x - math.sin(angle) * y,
            math.sin(angle) * x + math.cos(angle) * y,
        )
        at = [FINER * (p + n / 2) - 0.5 for p, n in zip((y, x), self.size)]
        look = functools.partial(
            ndimage.map_coordinates, coordinates=at, mode="reflect", prefilter=False
        )
        planes = [
            [look(c) for c in np.moveaxis(image, -1, 0)] for image in self._splines
        ]
        return np.moveaxis(np.stack(planes), 1, -1).astype(np.float32)


@jax_settings.fixed()
def disc(images: Batch) -> Float[np.ndarray, "N H W C"]:
    """Images without what turning could lose."""
    with jax_settings.transfers():
        return np.asarray(_disc(images))


@jax.jit
def _disc(images):
    return bandlimit.lowpass(images, 1.1, DISC)


def middle(images: Batch, size: int) -> Square:
    """The inner [N size size C]."""
    top, left = ((n - size) // 2 for n in images.shape[1:3])
    return np.asarray(images)[:, top : top + size, left : left + size]


def decibels(
    network: Network,
    images: Images,
    *,
    size: int = 80,
    inner: int = 40,
    right: float = 0.5,
    angle: float = 0.0,
) -> float:
    """How exactly what a network makes of images follows their motion.

    10 log10(variance of the output / mean square of its part that does not follow),
    over the inner pixels of outputs for inputs of `size` pixels; both are counted at
    the input's rate, for encoders too. inf if it follows exactly.
    """
    made = [np.asarray(network(images.seen(size, *m))) for m in ((), (right, angle))]
    rate = made[0].shape[1] / size
    moved = Images(made[0]).seen(made[0].shape[1], right * rate, angle)
    count = round(inner * rate)
    expected, found = (middle(a, count).astype(float) for a in (moved, disc(made[1])))
    error = np.mean((found - expected) ** 2)
    power = np.mean((expected - expected.mean(axis=(0, 1, 2))) ** 2)
    return float(10 * np.log10(power / error)) if error else math.inf
