"""Ranges of the numbers among the settings of training: RANGES."""

import math

from afgan_jax import errors

_ABOVE_0, _ABOVE_1 = math.nextafter(0, 1), math.nextafter(1, 2)
RANGES = {  # (smallest value, first value that is too large, in words): settings
    (0, math.inf, "at least 0 and finite"): "r1_gamma pl_weight blur_init_sigma"
    " blur_fade_kimg G_lr D_lr ema_kimg ema_rampup",
    (_ABOVE_0, math.inf, "above 0 and finite"): "total_kimg tick_kimg",
    (1, math.inf, "at least 1"): "pl_batch_shrink G_reg_interval D_reg_interval"
    " rows columns batch checkpoint_ticks image_ticks",
    (0, 1, "at least 0 and below 1"): "beta2",
    (0, _ABOVE_1, "from 0 to 1"): "pl_decay style_mixing_prob",
    (0, 2**32, "from 0 to 2**32 - 1"): "seed",
}
_OF = {name: row for row, names in RANGES.items() for name in names.split()}


def check(section: str, **values: float | None) -> None:
    """Raises SettingError for a value out of range; None is in every range.

    Errors name the setting with its section, or alone where the section is "".
    """
    for key, value in values.items():
        least, end, words = _OF[key]
        if value is not None and not least <= value < end:
            name = f"{section}.{key}" if section else key
            raise errors.SettingError(name, value, f"must be {words}")
