"""What the numbers among the settings of training may be: RANGES."""

import math

NOT_NEGATIVE = (0, math.inf, "at least 0 and finite")
BELOW_1 = (0, 1, "at least 0 and below 1")
SHARE = (0, math.nextafter(1, 2), "from 0 to 1")
COUNT = (1, math.inf, "at least 1")
RANGES = {  # setting: least, first too large, in words
    "losses.r1_gamma": NOT_NEGATIVE,
    "losses.pl_weight": NOT_NEGATIVE,
    "losses.pl_batch_shrink": COUNT,
    "losses.pl_decay": SHARE,
    "losses.style_mixing_prob": SHARE,
    "losses.blur_init_sigma": NOT_NEGATIVE,
    "losses.blur_fade_kimg": NOT_NEGATIVE,
    "updates.G_lr": NOT_NEGATIVE,
    "updates.D_lr": NOT_NEGATIVE,
    "updates.beta2": BELOW_1,
    "updates.ema_kimg": NOT_NEGATIVE,
    "updates.ema_rampup": NOT_NEGATIVE,
    "pictures.rows": COUNT,
    "pictures.columns": COUNT,
    "pictures.batch": COUNT,
}


def check(section: str, **values: float | None) -> None:
    """Raises ValueError for a value out of its range in RANGES; None passes."""
    for key, value in values.items():
        least, end, words = RANGES[f"{section}.{key}"]
        if value is not None and not least <= value < end:
            raise ValueError(f"{section}.{key}={value} must be {words}")
