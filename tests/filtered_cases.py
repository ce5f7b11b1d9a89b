"""Geometries of filtered nonlinearities that kernels are tested with."""

import pytest

from afgan_jax.signal import activations, filters, resample
from afgan_jax.signal.operators import FilteredActivation

UP = filters.lowpass(12, 2, 2, 32)
DOWN = filters.lowpass(12, 2, 2.5, 32)
RADIAL = filters.lowpass(12, 2, 2.5, 32, radial=True)
LRELU = activations.Activation("lrelu")
CLAMPED = activations.Activation("lrelu", clamp=0.8)
# (activation, up filter, down filter, up, down, pad)
SETTINGS = {
    "separable": (CLAMPED, UP, DOWN, 2, 2, ((11, 10), (9, 12))),
    "radial": (LRELU, UP, RADIAL, 2, 2, ((11, 10), (9, 12))),
    "no_filters": (CLAMPED, None, None, 1, 1, 0),
}
SLOW = {
    "up4_crop": (
        CLAMPED,
        filters.lowpass(24, 2, 2, 64),
        DOWN,
        4,
        2,
        ((-3, 4), (-2, -2)),
    ),
    "up2_down4": (LRELU, UP, filters.lowpass(24, 2, 1, 64), 2, 4, (15, 16)),
    "up3_down2": (LRELU, filters.lowpass(9, 2, 2, 48), DOWN, 3, 2, 8),
    "softplus": (activations.Activation("softplus"), UP, RADIAL, 2, 2, 11),
    "one_row": (LRELU, UP, DOWN, 2, 2, ((-3, 4), (2, -1))),
}
CASES = [
    *(pytest.param(s, id=name) for name, s in SETTINGS.items()),
    *(pytest.param(s, id=n, marks=pytest.mark.slow) for n, s in SLOW.items()),
]


def operation(setting, size=(11, 13)):
    act, up_filter, down_filter, up, down, pad = setting
    to_fine = resample.make_resampling(
        size, up_filter, up=up, pad=pad, gain=float(up * up)
    )
    to_coarse = resample.make_resampling(to_fine.size_out, down_filter, down=down)
    return FilteredActivation(act, to_fine, to_coarse)
