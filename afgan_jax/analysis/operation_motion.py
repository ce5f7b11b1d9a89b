"""How exactly one operation on feature maps follows a motion of its input, in dB.

A signal x that is known at every point, a mix of waves, is sampled on a canvas of RATE
pixels inside a wide margin. From its samples an operation f makes samples of another
signal, at any rate. When the input moves, f(x moved)(p) = f(x)(T p) should hold at
every point p, with the user transform T of `signal.affine`. Both sides are looked up at
random points by one isotropic filter, whose gain is 1 up to 0.3 cycles per sample of
the output, half at 0.4, and below -90 dB from 0.5, Nyquist, on. Over points that lie on
the canvas before and after,

    dB = 10 log10(sum of (f(x)(T p) - its mean)^2 / sum of the squared difference)

The method is that of `layer_motion`, which measures the layers of a network.
"""

import functools
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float

from afgan_jax import jax_settings
from afgan_jax.analysis import layer_motion
from afgan_jax.signal import affine, fourier

Maps = Float[Array, "1 H W C"]

RATE, SIZE = 48, 192  # pixels of the canvas, and with its margin; 2 and 3 divide both
CHANNELS, WAVES, POINTS = 4, 64, 512
FILTER = layer_motion.radial_filter(16, 0.4, 0.1)
# name: (angle in radians, pixels to the right, pixels down), pixels of the input. An
# operation at twice their rate hides its aliases from shifts by half pixels.
MOTIONS = {
    "whole pixels": (0.0, 4, -2),
    "half pixels": (0.0, 3.5, -1.5),
    "fractions": (0.0, 3.3, -1.2),
    "turned": (np.pi / 6, 0, 0),
}


@jax_settings.fixed()
@jax_settings.transfers()
@jax.default_matmul_precision("highest")
def decibels(
    operation: Callable[[Maps], Maps], *, band: float = 0.5, seed: int = 0
) -> dict[str, float]:
    """dB of an operation [1 H W C] -> [1 H2 W2 C2], by the names of MOTIONS.

    It gets SIZE pixels and CHANNELS channels, and may change both, but must keep the
    centre in place. band: of the waves, as a part of the Nyquist frequency. inf if
    there is no difference, NaN if the result is flat.
    """
    operation = jax.jit(operation)

    def run(transform):
        return operation(texture(transform, band, seed))

    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (POINTS, 2))
    still, found = run(affine.user_transform()), {}
    for name, (angle, right, down) in MOTIONS.items():
        transform = affine.user_transform(angle, right / RATE, down / RATE)
        A = np.asarray(transform, np.float64)
        sources = points @ A[:2, :2].T + A[:2, 2]
        stays = np.all(np.abs(sources) < 0.5, axis=1)
        expected = _at(still, sources)[stays]
        error = _at(run(transform), points)[stays] - expected
        power = np.sum((expected - np.mean(expected, axis=0)) ** 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[name] = float(10 * np.log10(power / np.sum(error**2)))
    return found


@functools.partial(jax.jit, static_argnums=(1, 2))
def texture(transform: Float[Array, "3 3"], band: float = 0.5, seed: int = 0) -> Maps:
    """The signal of `decibels` as seen through a transform: power 1, mean about 0."""
    key, mix = jax.random.split(jax_settings.key(seed))
    freqs, phases = fourier.sample_waves(key, WAVES, band * RATE / 2)
    waves = fourier.transform_waves(freqs, phases, transform[None])
    maps = fourier.evaluate_waves(*waves, (SIZE, SIZE), RATE, band * RATE / 2)
    return maps @ (jax.random.normal(mix, (WAVES, CHANNELS)) * (2 / WAVES) ** 0.5)


def _at(maps: Maps, points) -> Float[np.ndarray, "P C"]:
    """The maps at points (x, y), in canvas widths from the centre, float64."""
    rate = RATE * maps.shape[2] / SIZE
    found = _look_up(maps, jax.device_put(np.float32(points)), rate)
    return np.asarray(found[0], np.float64)


@functools.partial(jax.jit, static_argnums=2)
def _look_up(maps, points, rate):
    return layer_motion.look_up(maps, points, rate, FILTER)
