"""Convolution with a change of rate, in the cheapest order."""

import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from afgan_jax.signal import convolve, resample


def conv_resample(
    x: Float[Array, "*N H W I"],
    w: Float[Array, "kh kw I O"],
    *,
    f: np.ndarray | None = None,
    up: int = 1,
    down: int = 1,
    pad: resample.Pad = 0,
    flip_weight: bool = False,
) -> Float[Array, "*N H2 W2 O"]:
    """Upsample with `f`, pad, correlate with w, filter and decimate with `f`.

    `pad` is added to the padding that keeps the canvas in place. flip_weight=True turns
    correlation into convolution.
    """
    w = (w[::-1, ::-1] if flip_weight else w).astype(x.dtype)
    return checkpoint_name(_conv_resample(x, w, f, up, down, pad), "conv")


def _conv_resample(x, w, f, up: int, down: int, pad: resample.Pad):
    taps = (1, 1) if f is None else (f.size, f.size) if f.ndim == 1 else f.shape
    pad = (pad, pad) if isinstance(pad, int) else pad
    pads = [(p, p) if isinstance(p, int) else p for p in pad]
    if up > 1:
        pads = [
            (lo + (k + up - 1) // 2, hi + (k - up) // 2)
            for (lo, hi), k in zip(pads, taps)
        ]
    if down > 1:
        pads = [
            (lo + (k - down + 1) // 2, hi + (k - down) // 2)
            for (lo, hi), k in zip(pads, taps)
        ]
    pads = tuple(pads)
    if up == 1 and down == 1:
        return convolve.conv(x, w, pad=pads)
    if up == 1:
        if w.shape[:2] == (1, 1):
            x = checkpoint_name(resample.upfirdn(x, f, down=down, pad=pads), "conv")
            return convolve.conv(x, w)
        x = checkpoint_name(resample.upfirdn(x, f, pad=pads), "conv")
        return convolve.conv(x, w, stride=down)
    gain = float(up * up)
    if w.shape[:2] == (1, 1):
        y = resample.upfirdn(convolve.conv(x, w), f, up=up, pad=pads, gain=gain)
    else:
        trailing = tuple((lo, hi + up - 1) for lo, hi in pads)
        y = convolve.conv(x, w, up=up, pad=trailing)
        y = resample.upfirdn(y, f, gain=gain)
    return y if down == 1 else resample.upfirdn(y, f, down=down)
