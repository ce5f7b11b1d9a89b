"""Band-limited changes of rate and nonlinearities for any network.

Images are [*N H W C] with any leading dimensions and sizes; factors are whole numbers.

The upper left corners of all grids coincide: pixel i of a grid d times coarser covers
pixels d i .. d i + d - 1 of the finer one. If d does not divide the size, the coarser
size is rounded up; `size` (height, width) asks for another, as a decoder does to return
to an odd size. Beyond its border an image is zero; pad it (jnp.pad, mode="reflect")
for something else.

Filters follow from a Design, whose frequencies are in units of the Nyquist frequency of
the coarser of two grids. Source: Alias-Free GAN, Sec. 2 and App. C.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
from jaxtyping import Array, Float

from afgan_jax import errors
from afgan_jax.signal import filters, nonlinearity, resample

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Design:
    """A low-pass filter: half the amplitude at `cutoff`, almost none from `stopband`.

    `taps` are counted per pixel of the coarser grid: with more, the transition is
    steeper or the stopband lower. A stopband above 1 keeps more detail, but frequencies
    from 1 to it alias. `radial` filters are the same in all directions, which rotation
    needs; upsampling is never radial, as its input is band-limited to a disc already.
    """

    cutoff: float = 0.7
    stopband: float = 1.1
    taps: int = 6
    lowpass: str = "kaiser"  # its window: one of filters.WINDOWS
    radial: bool = False


DESIGN = Design()


def upsample(
    x: Float[Array, "*N H W C"],
    up: int = 2,
    design: Design = DESIGN,
    *,
    size: Size | None = None,
) -> Float[Array, "*N H2 W2 C"]:
    """x on a grid `up` times finer, [*N up*H up*W C], with the same band.

    Raises SettingError for impossible factors and designs, as do the functions below.
    """
    _check_factors(up=up)
    f = make_filter(_separable(design), up)
    pad = _pads(x, size, f, None, up=up)
    return resample.upfirdn(x, f, up=up, pad=pad, gain=float(up * up))


def downsample(
    x: Float[Array, "*N H W C"],
    down: int = 2,
    design: Design = DESIGN,
    *,
    size: Size | None = None,
) -> Float[Array, "*N H2 W2 C"]:
    """x on a grid `down` times coarser, low-passed for it."""
    _check_factors(down=down)
    f = make_filter(design, down)
    pad = _pads(x, size, None, f, down=down)
    return resample.upfirdn(x, f, down=down, pad=pad)


def lowpass(
    x: Float[Array, "*N H W C"], factor: float = 2.0, design: Design = DESIGN
) -> Float[Array, "*N H W C"]:
    """x, low-passed for a grid `factor` (at least 1) times coarser."""
    return resample.same_size(x, make_filter(design, float(factor), odd=True))


def activate(
    x: Float[Array, "*N H W C"],
    function: Callable,
    *parameters: jax.Array,
    bias: Float[Array, " C"] | None = None,
    up: int = 1,
    down: int = 1,
    oversampling: int = 2,
    design: Design = DESIGN,
    size: Size | None = None,
) -> Float[Array, "*N H2 W2 C"]:
    """function(x + bias) at up/down times the rate of x, [*N H*up/down W*up/down C].

    The function, such as jnp.tanh or activations.Activation("lrelu"), is evaluated at
    up * oversampling times the rate and the result low-passed for the new rate. For
    functions and `parameters` see `nonlinearity.filtered`.
    """
    _check_factors(up=up, down=down, oversampling=oversampling)
    up, down = up * oversampling, down * oversampling
    both = make_filter(_separable(design), up), make_filter(design, down)
    rates = {"up": up, "down": down}
    pad = _pads(x, size, *both, **rates)
    return nonlinearity.filtered(
        x, function, *both, *parameters, bias=bias, pad=pad, **rates
    )


@functools.cache
def make_filter(
    design: Design, factor: float, *, odd: bool | None = None
) -> filters.Taps | None:
    """Taps between two grids, one `factor` times finer; None if both are the same.

    Their number is odd if `odd`, by default if the factor is, which keeps grids in
    place. Raises SettingError unless 0 < cutoff < stopband, and taps and factor are at
    least 1.
    """
    if not 0 < design.cutoff < design.stopband < math.inf or design.taps < 1:
        why = "is impossible: give 0 < cutoff < stopband, and at least 1 tap"
        raise errors.SettingError("design", design, why)
    errors.check_known("lowpass", design.lowpass, filters.WINDOWS)
    if not 1 <= factor < math.inf:
        raise errors.SettingError("factor", factor, "must be at least 1 and finite")
    if factor == 1:
        return None
    taps = round(design.taps * factor)
    taps += (taps - (factor if odd is None else odd)) % 2
    cutoff, half_width = design.cutoff / 2, (design.stopband - design.cutoff) / 2
    shape = {"window": design.lowpass, "radial": design.radial}
    return filters.lowpass(taps, cutoff, half_width, factor, **shape)


def _separable(design: Design) -> Design:
    return dataclasses.replace(design, radial=False)


def _pads(
    x, size: Size | None, up_filter, down_filter, *, up: int = 1, down: int = 1
) -> resample.Pad:
    """Padding, in upsampled pixels, that gives `size` and aligns the corners."""
    if x.ndim < 3:
        return 0  # batching.over_images raises an error
    up_taps, down_taps = (1 if f is None else len(f) for f in (up_filter, down_filter))
    before = (up_taps + up - 2) // 2 + (down_taps - down) // 2
    pads = []
    for axis, n in enumerate(x.shape[-3:-1]):
        count = -(-n * up // down) if size is None else size[axis]
        needed = (count - 1) * down + down_taps + up_taps - 1
        pads.append((before, needed - n * up - before))
    return tuple(pads)


def _check_factors(**factors: int) -> None:
    for name, factor in factors.items():
        if not (isinstance(factor, int) and factor >= 1):
            why = "must be a whole number of at least 1"
            raise errors.SettingError(name, factor, why)
