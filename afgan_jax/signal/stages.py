"""A filtered nonlinearity taken apart, to look at what happens inside."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

from afgan_jax.signal import resample

Maps = Float[Array, "N H W C"]


class Stages(NamedTuple):
    """Maps [N H W C] of y = D act(U (x + bias)), those inside cut to one size.

    risen: U (x + bias), at the raised rate; bent: act of it, with frequencies without
    bound; passed: bent, low-passed; out: every `down`-th sample of that, which is y.
    """

    risen: Maps
    bent: Maps
    passed: Maps
    out: Maps


def stages(
    function: Callable, x: Maps, bias, up_filter, down_filter, *, up=1, down=1, pad=0
) -> Stages:
    """The stages of `nonlinearity.filtered`, whose arguments these are."""
    x = x if bias is None else x + bias
    risen = resample.upfirdn(x, up_filter, up=up, pad=pad, gain=float(up * up))
    bent = function(risen)
    passed = resample.upfirdn(bent, down_filter)
    size = passed.shape[1:3]
    before = [(n - m) // 2 for n, m in zip(bent.shape[1:3], size)]
    inside = tuple(slice(lo, lo + m) for lo, m in zip(before, size))
    cut = (slice(None), *inside)
    return Stages(risen[cut], bent[cut], passed, passed[:, ::down, ::down])
