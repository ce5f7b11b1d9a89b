"""EQ-T, EQ-T_frac and EQ-R: how exactly images follow a motion of the input, in dB.

A sample is rendered unmoved and with its input moved by an amount: a shift t, right and
down, in units of the shorter side, or an angle in radians, counterclockwise. The moved
render is compared with the unmoved one moved as an image (`signal.warp`):

    PSNR = 10 log10(2^2 * sum of mask / sum of mask * (reference - render)^2)

over all samples, pixels and channels at once, 2 being the range of [-1, 1]. Images are
not clipped. EQ-T_frac and EQ-R of a perfect network are finite: the reference
interpolation has a finite filter.

Sample i has its own latents, label and motions, drawn from the seed and i, so that the
result does not depend on the batch size, the devices or the other kinds. (The published
program moves all samples of a batch alike.) Everything is computed in float32, with
products in full precision.

Source: Alias-Free GAN, App. E.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from afgan_jax import errors, jax_settings
from afgan_jax.metrics.samples import Network
from afgan_jax.metrics.sharding import BatchSharding, compiled
from afgan_jax.signal import affine, warp

Images = Float[Array | np.ndarray, "N H W C"]
Errors = tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, " N"]]
Shift = Sequence[Real] | Float[np.ndarray, "2"]
Sums = Float64[np.ndarray, "num_samples 2"]
Render = Callable[[Int[np.ndarray, " N"], Float[np.ndarray, "N 3 3"]], Images]

MAX_SHIFT = 0.125


class Kind(NamedTuple):
    """One row of KINDS: how to draw an amount, apply it to the input, and compare."""

    draw: Callable[[np.random.Generator, int], Any]
    transform: Callable[[Any], Float[Array, "3 3"]]
    errors: Callable[[Images, Images, Any], Errors]


def measure(
    render: Render,
    *,
    num_samples: int,
    batch_size: int,
    seed: int,
    resolution: int,
    kinds: Sequence[str] = ("eqt_int", "eqt_frac", "eqr"),
) -> dict[str, Sums]:
    """(squared error, mask) sums of each sample by kind; `psnr` converts them to dB.

    `render(numbers, transforms)` returns the images of these samples, each under its
    user transform. The published setting is 50000 samples. Raises ValueError for an
    unknown kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            why = f"is unknown: use some of {', '.join(KINDS)}"
            raise errors.SettingError("kinds", kind, why)
    for name, value in {"num_samples": num_samples, "batch_size": batch_size}.items():
        if value < 1:
            raise errors.SettingError(name, value, "must be at least 1")
    drawn = amounts(num_samples, seed=seed, resolution=resolution, kinds=kinds)
    return sample_errors(render, drawn, batch_size=batch_size)


def measure_network(
    network: Network, sharding: BatchSharding, *, seed: int = 0, **options
) -> dict[str, Sums]:
    """`measure` of a generator's samples, drawn by all devices; its other options."""
    draw = compiled(sharding, _moved, network.draw, rows=2)
    variables = sharding.replicate(network.variables)

    def render(numbers, transforms):
        images = draw(variables, transforms[sharding.mine], numbers[sharding.mine])
        return images.addressable_data(0)

    options |= {"batch_size": sharding.batch, "resolution": min(network.shape[:2])}
    return measure(render, seed=seed, **options)


def amounts(
    num_samples: int, *, seed: int, resolution: int, kinds: Sequence[str]
) -> dict[str, list]:
    """Amounts by kind, each drawn from the seed, the kind and the sample's number.

    More samples, or other kinds, do not change those already drawn.
    """
    places = {kind: list(KINDS).index(kind) for kind in kinds}
    return {
        kind: [
            KINDS[kind].draw(np.random.default_rng([seed, place, i]), resolution)
            for i in range(num_samples)
        ]
        for kind, place in places.items()
    }


@jax_settings.fixed()
@jax.default_matmul_precision("highest")
def sample_errors(
    render: Render, amounts: Mapping[str, Sequence], *, batch_size: int
) -> dict[str, Sums]:
    """The sums of each sample by kind; sample i moves by amounts[kind][i]."""
    count = len(next(iter(amounts.values())))
    sums = {kind: [] for kind in amounts}
    still = np.broadcast_to(np.eye(3, dtype=np.float32), (batch_size, 3, 3))
    for start in range(0, count, batch_size):
        # The last batch is padded with the first samples: one shape, compiled once.
        numbers = np.arange(start, start + batch_size) % count
        orig = jax.device_get(render(numbers, still))
        for kind, values in amounts.items():
            chosen = [values[i] for i in numbers]
            put = jax.device_put(np.array(chosen, np.float32))
            transforms = jax.device_get(_transforms(kind, put))
            moved = jax.device_get(render(numbers, transforms))
            for i in range(min(batch_size, count - start)):
                one = slice(i, i + 1)
                found = KINDS[kind].errors(orig[one], moved[one], chosen[i])
                sums[kind].append(np.concatenate(found))
    return {kind: np.stack(rows) for kind, rows in sums.items()}


@functools.partial(jax.jit, static_argnums=0)
def _transforms(kind: str, amounts: Array) -> Float[Array, "N 3 3"]:
    return jax.vmap(KINDS[kind].transform)(amounts)


def _moved(draw: Callable) -> Callable:
    return lambda variables, transforms, numbers: draw(variables, numbers, transforms)


def psnr(sums: Sums) -> float:
    """Pooled PSNR in dB of (squared error, mask) sums; inf if the error is 0."""
    error, mask = sums.sum(axis=0)
    if mask == 0:
        raise ValueError(
            "equivariance: no pixel is clear of the border; eqr needs images of at "
            "least 16 pixels, eqt_frac of at least 8"
        )
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(2) - 10 * np.log10(error / mask))


def psnr_of_each(sums: Sums) -> Float64[np.ndarray, " num_samples"]:
    """PSNR in dB of each sample: inf if its error is 0, NaN without a mask."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 20 * np.log10(2) - 10 * np.log10(sums[:, 0] / sums[:, 1])


def confidence_interval(
    sums: Sums, *, level: Real = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of the pooled PSNR, in dB."""
    rng, n = np.random.default_rng(seed), len(sums)
    values = [psnr(sums[rng.integers(n, size=n)]) for _ in range(resamples)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def integer_shift_errors(orig: Images, moved: Images, t: Shift) -> Errors:
    """EQ-T's (squared error, mask) sums of each sample."""
    return _masked_errors(*warp.translate_integer(orig, *_of_sides(orig, t)), moved)


def fractional_shift_errors(orig: Images, moved: Images, t: Shift) -> Errors:
    """EQ-T_frac's (squared error, mask) sums of each sample."""
    return _masked_errors(*warp.translate_fractional(orig, *_of_sides(orig, t)), moved)


def rotation_errors(orig: Images, moved: Images, angle: Real) -> Errors:
    """EQ-R's (squared error, mask) sums of each sample."""
    reference, mask = warp.rotate(orig, angle)
    moved, pseudo_mask = warp.pseudo_rotate(moved, angle)
    return _masked_errors(reference, mask * pseudo_mask, moved)


def _of_sides(images: Images, t: Shift) -> tuple[Real, Real]:
    """A shift in units of the shorter side, in units of width and height."""
    h, w = images.shape[1:3]
    return t[0] * (min(h, w) / w), t[1] * (min(h, w) / h)


def _masked_errors(reference, mask, moved) -> Errors:
    difference = np.float64(jax.device_get(reference)) - np.float64(moved)
    error = np.sum(difference**2 * mask, axis=(1, 2, 3))
    count = float(mask.sum()) * difference.shape[3]
    return error, np.full_like(error, count)


def _draw_fractional_shift(rng, resolution):
    return rng.uniform(-MAX_SHIFT, MAX_SHIFT, size=2)


def _draw_integer_shift(rng, resolution):
    return np.rint(_draw_fractional_shift(rng, resolution) * resolution) / resolution


def _draw_angle(rng, resolution):
    return rng.uniform(-np.pi, np.pi)


def _shift_transform(t):
    return affine.user_transform(0.0, *t)


KINDS = {
    "eqt_int": Kind(_draw_integer_shift, _shift_transform, integer_shift_errors),
    "eqt_frac": Kind(_draw_fractional_shift, _shift_transform, fractional_shift_errors),
    "eqr": Kind(_draw_angle, affine.user_transform, rotation_errors),
}
