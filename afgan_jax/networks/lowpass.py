"""Low-pass filters for resampling by whole factors, by the name that `lowpass` has.

A design maps (n, factor, band, rate, radial) to taps of unit sum, None for a single 1.
`band` is the signal's at the coarser rate, `rate` the finer one, factor times as high;
n is the number of taps at the coarser rate, for filters whose length is free.

Source: Alias-Free GAN, App. C.5 (Lanczos and Gaussian), StyleGAN2 (bilinear).
"""

import numpy as np

from afgan_jax.signal import filters

GAUSSIAN_REACH = 8  # coarse samples


def _kaiser(n, factor, band, rate, radial):
    if factor == 1:
        return None
    return filters.lowpass(
        n * factor, band.cutoff, band.half_width, rate, radial=radial
    )


def _lanczos(n, factor, band, rate, radial):
    return None if factor == 1 else filters.lanczos(band.cutoff, rate)


def _gaussian(n, factor, band, rate, radial):
    if factor == 1:
        return None
    return filters.gaussian(band.cutoff, rate, GAUSSIAN_REACH * factor / rate)


def _bilinear(n, factor, band, rate, radial):
    if factor == 1:
        return None
    x = np.arange(2 * factor) - (2 * factor - 1) / 2
    return (1 - np.abs(x) / factor) / factor


def _repeat(n, factor, band, rate, radial):
    return None if factor == 1 else np.full(factor, 1 / factor)


def _keep_first(n, factor, band, rate, radial):
    return None


# (up, down). "none" switches the low-pass filters off: pixels are repeated going up and
# dropped going down.
DESIGNS = {
    "kaiser": (_kaiser, _kaiser),
    "lanczos": (_lanczos, _lanczos),
    "gaussian": (_gaussian, _gaussian),
    "bilinear": (_bilinear, _bilinear),
    "none": (_repeat, _keep_first),
}
RADIAL = ("kaiser",)  # has a radial form
