"""The stages of a filtered nonlinearity, for analysis."""

import operator
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

from afgan_jax.signal import precision, resample

Maps = Float[Array, "N H W C"]


class Stages(NamedTuple):
    """Maps of y = D act(U (x + bias)), all but `out` cropped to one size.

    upsampled: U (x + bias). activated: act of it. filtered: that, low-passed. out:
    every `down`-th sample of that, which is y.
    """

    upsampled: Maps
    activated: Maps
    filtered: Maps
    out: Maps


def stages(
    function: Callable, x: Maps, bias, up_filter, down_filter, *, up=1, down=1, pad=0
) -> Stages:
    """The stages of `nonlinearity.filtered`, with its arguments."""
    x = x if bias is None else precision.widened(operator.add)(x, bias)
    upsampled = resample.upfirdn(x, up_filter, up=up, pad=pad, gain=float(up * up))
    activated = function(upsampled)
    filtered = resample.upfirdn(activated, down_filter)
    size = filtered.shape[1:3]
    before = [(n - m) // 2 for n, m in zip(activated.shape[1:3], size)]
    inside = (slice(None), *(slice(lo, lo + m) for lo, m in zip(before, size)))
    out = filtered[:, ::down, ::down]
    return Stages(upsampled[inside], activated[inside], filtered, out)
