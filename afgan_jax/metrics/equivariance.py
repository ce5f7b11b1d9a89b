"""EQ-T, EQ-T_frac and EQ-R: how exactly images follow a motion of the input, in dB.

A batch is rendered unmoved and with its input moved by one amount (a shift t in units
of the image size, right and down, or an angle in radians, counterclockwise). The moved
render is compared with the unmoved one moved as a picture (`signal.warp`):

    PSNR = 10 log10(2^2 * sum of mask / sum of mask * (reference - render)^2)

over all batches, pixels and channels at once, 2 being the range of [-1, 1]. Images are
not clipped. EQ-T_frac and EQ-R of a perfect network are finite: the reference
interpolation has a finite filter.

Source: Alias-Free GAN, App. E.
"""

from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float64

from afgan_jax.signal import affine, warp

Images = Float[Array | np.ndarray, "N H W C"]
Errors = tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, " N"]]
Shift = Sequence[Real] | Float[np.ndarray, "2"]
Render = Callable[[Any, Float[Array, "3 3"]], Images]

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
) -> dict[str, float]:
    """PSNR in dB by kind, from random latents and one random motion a batch.

    `render(key, transform)` draws `batch_size` latents from the key and returns their
    images under the user transform; the same key comes with every motion of a batch.
    The published setting is 50000 samples in batches of 4. Raises ValueError for an
    unknown kind, or where the images leave nothing to compare.
    """
    _check(kinds, num_samples, batch_size)
    batches = -(-num_samples // batch_size)
    keys = jax.random.split(jax.random.key(seed), batches)
    amounts = draw_amounts(batches, seed=seed, resolution=resolution, kinds=kinds)
    sums = sample_errors(render, keys, amounts)
    return {kind: psnr(s[:num_samples]) for kind, s in sums.items()}


def draw_amounts(
    batches: int, *, seed: int, resolution: int, kinds: Sequence[str]
) -> dict[str, list]:
    """Amounts by kind, one a batch; asking for fewer kinds leaves the others' alone."""
    rngs = {k: np.random.default_rng([seed, list(KINDS).index(k)]) for k in kinds}
    return {
        k: [KINDS[k].draw(rng, resolution) for _ in range(batches)]
        for k, rng in rngs.items()
    }


def sample_errors(
    render: Render, latents: Iterable[Any], amounts: dict[str, Sequence]
) -> dict[str, Float64[np.ndarray, "num_samples 2"]]:
    """(squared error, mask) sums of each sample by kind.

    `latents` yields what `render` takes first, batch by batch; batch i moves by
    amounts[kind][i].
    """
    sums = {kind: [] for kind in amounts}
    identity = affine.translation(0.0, 0.0)
    for i, batch in enumerate(latents):
        orig = render(batch, identity)
        for kind, values in amounts.items():
            moved = render(batch, KINDS[kind].transform(values[i]))
            errors = KINDS[kind].errors(orig, moved, values[i])
            sums[kind].append(np.stack(errors, axis=1))
    return {kind: np.concatenate(s) for kind, s in sums.items()}


def psnr(sums: Float64[np.ndarray, "num_samples 2"]) -> float:
    """Pooled PSNR in dB of (squared error, mask) sums; inf where the error is 0."""
    error, mask = sums.sum(axis=0)
    if mask == 0:
        raise ValueError(
            "equivariance: no pixel is clear of the border; eqr needs images of at "
            "least 16 pixels, eqt_frac of at least 8"
        )
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(2) - 10 * np.log10(error / mask))


def psnr_of_each(
    sums: Float64[np.ndarray, "num_samples 2"],
) -> Float64[np.ndarray, " num_samples"]:
    """PSNR in dB of every sample: infinite where its error is 0, NaN without a mask."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 20 * np.log10(2) - 10 * np.log10(sums[:, 0] / sums[:, 1])


def confidence_interval(
    sums: Float64[np.ndarray, "num_samples 2"],
    *,
    batch_size: int,
    level: Real = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of the pooled PSNR, in dB.

    Whole batches are drawn again, since the samples of one share a motion.
    """
    starts = np.arange(0, len(sums), batch_size)
    batches = np.add.reduceat(sums, starts)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(batches), size=(resamples, len(batches)))
    values = [psnr(batches[rows]) for rows in chosen]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def integer_shift_errors(orig: Images, moved: Images, t: Shift) -> Errors:
    """EQ-T sums of each sample: (squared error, mask)."""
    return _masked_errors(*warp.translate_integer(orig, *t), moved)


def fractional_shift_errors(orig: Images, moved: Images, t: Shift) -> Errors:
    """EQ-T_frac sums of each sample: (squared error, mask)."""
    return _masked_errors(*warp.translate_fractional(orig, *t), moved)


def rotation_errors(orig: Images, moved: Images, angle: Real) -> Errors:
    """EQ-R sums of each sample: (squared error, mask)."""
    reference, mask = warp.rotate(orig, angle)
    moved, pseudo_mask = warp.pseudo_rotate(moved, angle)
    return _masked_errors(reference, mask * pseudo_mask, moved)


def _masked_errors(reference, mask, moved) -> Errors:
    difference = np.asarray(reference, np.float64) - np.asarray(moved, np.float64)
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


def _check(kinds, num_samples, batch_size):
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r} is unknown: use some of {sorted(KINDS)}")
    if num_samples < 1 or batch_size < 1:
        raise ValueError(
            f"num_samples={num_samples}, batch_size={batch_size}: both must be positive"
        )
