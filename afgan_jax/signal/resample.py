"""Upsample, filter, downsample: one linear operation for every resampling.

Along each axis, with filter h of K taps, `up` u, `down` d and padding (lo, hi):
    y[n] = sum_k h[K-1-k] z[n d + k - lo],   z[u m] = x[m], zero elsewhere,
for n = 0 .. (u size + lo + hi - K) // d. Padding counts upsampled samples and crops
where negative. Axis order is (vertical, horizontal); filters are NumPy constants.

The transpose of a resampling is a resampling (up and down swapped, filter reversed), so
one derivative rule gives derivatives of any order. For implementations see `backends`;
`bandlimit` designs filters. Source: Alias-Free GAN, Sec. 2 and App. C.3.
"""

import functools
import math

import jax
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.signal import batching
from afgan_jax.signal.backends import dispatch
from afgan_jax.signal.operators import Pads, Pair, Resampling

Pad = Pair | Pads


def make_resampling(
    size_in: tuple[int, int],
    f: np.ndarray | None,
    *,
    up: Pair = 1,
    down: Pair = 1,
    pad: Pad = 0,
    gain: float = 1.0,
    implementation: str | None = None,
) -> Resampling:
    """The operator of `upfirdn` for images of `size_in`. Raises ValueError likewise."""
    f = np.ones(1) if f is None else np.asarray(f, np.float64)
    up, down, pad = _pair(up), _pair(down), _pad_pairs(pad)
    shape = _filter_shape(f)
    size_out = tuple(
        (n * u + sum(p) - k) // d + 1
        for n, u, d, p, k in zip(size_in, up, down, pad, shape)
    )
    if min(size_out) < 1:
        raise ValueError(
            f"image of {size_in[0]}x{size_in[1]} with up={up}, pad={pad} is smaller"
            f" than its {shape[0]}x{shape[1]} filter: enlarge the image or the padding"
        )
    if f.ndim == 1:
        taps = tuple(
            _extend(f[::-1] * math.sqrt(gain), max(u, d)) for u, d in zip(up, down)
        )
    else:
        columns = max(up[1], down[1])
        rows = [_extend(row, columns) for row in f[::-1, ::-1] * gain]
        empty = max(0, max(up[0], down[0]) - len(rows))
        taps = (*rows, *[(0.0,) * len(rows[0])] * empty)
    lo = (pad[0][0], pad[1][0])
    how = dispatch.wish("resample", implementation)
    return Resampling(f.ndim == 1, taps, up, down, lo, tuple(size_in), size_out, how)


def upfirdn(
    x: Float[Array, "*N H W C"],
    f: np.ndarray | None,
    *,
    up: Pair = 1,
    down: Pair = 1,
    pad: Pad = 0,
    gain: float = 1.0,
    implementation: str | None = None,
) -> Float[Array, "*N H2 W2 C"]:
    """Upsample with zeros, pad, convolve with `f`, keep every `down`-th sample.

    `f` is [taps] (applied along both axes), [rows, columns] or None (one tap, 1);
    `gain` is the total gain. `implementation` is one of "resample" in
    `dispatch.IMPLEMENTATIONS`; None leaves the choice to the table. Raises ValueError
    if the padded image is smaller than the filter, and for an unknown implementation.
    """
    how = {"up": up, "down": down, "pad": pad, "gain": gain}
    spec = make_resampling(x.shape[-3:-1], f, **how, implementation=implementation)
    return batching.over_images(functools.partial(apply, spec), x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def apply(spec: Resampling, x: Float[Array, "N H W C"]) -> Float[Array, "N H2 W2 C"]:
    """Apply a resampling; reverse-mode differentiable to any order."""
    return dispatch.lower("resample", spec, x, wish=spec.implementation)


apply.defvjp(
    lambda spec, x: (apply(spec, x), None),
    lambda spec, _, ct: (apply(spec.transposed(), ct),),
)


def same_size(x, f, *, pad: Pad = 0, gain: float = 1.0):
    """Filter and keep the size, but for `pad`: [*N H W C] -> [*N H W C]."""
    extra = [(k // 2, (k - 1) // 2) for k in _filter_shape(f)]
    return upfirdn(x, f, pad=_add_pads(pad, extra), gain=gain)


def upsample(x, f, *, up: Pair = 2, pad: Pad = 0, gain: float = 1.0):
    """Upsample in place: [*N H W C] -> [*N up*H up*W C], but for `pad`."""
    up = _pair(up)
    extra = [((k + u - 1) // 2, (k - u) // 2) for k, u in zip(_filter_shape(f), up)]
    gain = gain * up[0] * up[1]
    return upfirdn(x, f, up=up, pad=_add_pads(pad, extra), gain=gain)


def downsample(x, f, *, down: Pair = 2, pad: Pad = 0, gain: float = 1.0):
    """Filter and downsample in place: [*N H W C] -> [*N H//down W//down C]."""
    down = _pair(down)
    extra = [((k - d + 1) // 2, (k - d) // 2) for k, d in zip(_filter_shape(f), down)]
    return upfirdn(x, f, down=down, pad=_add_pads(pad, extra), gain=gain)


def _extend(taps: np.ndarray, count: int) -> tuple[float, ...]:
    """Append zeros, so that every phase of an up- or downsampling has a tap."""
    return (*taps.tolist(), *[0.0] * (count - taps.size))


def _pair(value: int | tuple) -> tuple:
    return (value, value) if isinstance(value, int) else tuple(value)


def _pad_pairs(pad: Pad) -> Pads:
    pad = _pair(pad)
    return (pad, pad) if isinstance(pad[0], int) else tuple(map(tuple, pad))


def _add_pads(pad: Pad, extra) -> Pads:
    pairs = zip(_pad_pairs(pad), extra)
    return tuple((p[0] + e[0], p[1] + e[1]) for p, e in pairs)


def _filter_shape(f: np.ndarray | None) -> tuple[int, int]:
    if f is None:
        return (1, 1)
    return (f.size, f.size) if f.ndim == 1 else f.shape
