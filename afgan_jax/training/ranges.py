"""Ranges of the numbers among the settings of training: RANGES."""

import math

from afgan_jax import errors

NOT_NEGATIVE = (0, math.inf, "at least 0 and finite")
BELOW_1 = (0, 1, "at least 0 and below 1")
SHARE = (0, math.nextafter(1, 2), "from 0 to 1")
COUNT = (1, math.inf, "at least 1")
POSITIVE = (math.nextafter(0, 1), math.inf, "above 0 and finite")
RANGES = {  # setting: smallest value, first value that is too large, in words
    "r1_gamma": NOT_NEGATIVE,
    "pl_weight": NOT_NEGATIVE,
    "pl_batch_shrink": COUNT,
    "pl_decay": SHARE,
    "style_mixing_prob": SHARE,
    "blur_init_sigma": NOT_NEGATIVE,
    "blur_fade_kimg": NOT_NEGATIVE,
    "G_lr": NOT_NEGATIVE,
    "D_lr": NOT_NEGATIVE,
    "G_reg_interval": COUNT,
    "D_reg_interval": COUNT,
    "beta2": BELOW_1,
    "ema_kimg": NOT_NEGATIVE,
    "ema_rampup": NOT_NEGATIVE,
    "rows": COUNT,
    "columns": COUNT,
    "batch": COUNT,
    "total_kimg": POSITIVE,
    "tick_kimg": POSITIVE,
    "checkpoint_ticks": COUNT,
    "image_ticks": COUNT,
    "seed": (0, 2**32, "from 0 to 2**32 - 1"),
}


def check(section: str, **values: float | None) -> None:
    """Raises SettingError for a value out of range; None is in every range.

    Errors name the setting with its section, or alone where the section is "".
    """
    for key, value in values.items():
        least, end, words = RANGES[key]
        if value is not None and not least <= value < end:
            name = f"{section}.{key}" if section else key
            raise errors.SettingError(name, value, f"must be {words}")
