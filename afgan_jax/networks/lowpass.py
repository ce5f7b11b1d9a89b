"""Low-pass filters for resampling by whole factors, by the names of `lowpass`.

A design maps (n, factor, band, rate, radial) to taps of unit sum; None stands for no
filter. `band` is the signal's at the coarser rate, `rate` the finer rate, `factor`
times as high; n is the number of taps per factor, of filters whose length is free.

Source: Alias-Free GAN, App. C.5 (Lanczos and Gaussian), StyleGAN2 (bilinear).
"""

from collections.abc import Callable

import numpy as np

from afgan_jax.signal import filters

GAUSSIAN_REACH = 8  # coarse samples


def _kaiser(n, factor, band, rate, radial):
    size = n * factor
    return filters.lowpass(size, band.cutoff, band.half_width, rate, radial=radial)


def _lanczos(n, factor, band, rate, radial):
    return filters.lanczos(band.cutoff, rate)


def _gaussian(n, factor, band, rate, radial):
    return filters.gaussian(band.cutoff, rate, GAUSSIAN_REACH * factor / rate)


def _bilinear(n, factor, band, rate, radial):
    x = np.arange(2 * factor) - (2 * factor - 1) / 2
    return (1 - np.abs(x) / factor) / factor


def _above_1(design: Callable) -> Callable:
    """The design, but no filter where the factor is 1."""
    return lambda n, factor, *to: None if factor == 1 else design(n, factor, *to)


# name: (up, down). "none" repeats pixels to go up and drops pixels to go down.
DESIGNS = {
    name: tuple(map(_above_1, designs))
    for name, designs in {
        "kaiser": (_kaiser, _kaiser),
        "lanczos": (_lanczos, _lanczos),
        "gaussian": (_gaussian, _gaussian),
        "bilinear": (_bilinear, _bilinear),
        "none": (lambda n, factor, *_: np.full(factor, 1 / factor), lambda *_: None),
    }.items()
}
RADIAL = ("kaiser",)  # has a radial form
