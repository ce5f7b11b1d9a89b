"""Ranges of the numbers among the settings of configs: RANGES."""

import math
from typing import Any

from afgan_jax import errors

_ABOVE_0, _ABOVE_1 = math.nextafter(0, 1), math.nextafter(1, 2)
RANGES = {  # (smallest value, first value that is too large, in words): settings
    (0, math.inf, "at least 0 and finite"): "r1_gamma r2_gamma gamma pl_weight"
    " blur_init_sigma blur_fade_kimg kimg G_lr D_lr ema_kimg ema_rampup",
    (0, 1001, "from 0 to 1000"): "margin num_layers mapping_layers num_half_res",
    (0, 2**20 + 1, "from 0 to 2**20"): "c_dim cmap_dim mbstd_num_channels",
    (_ABOVE_0, math.inf, "above 0 and finite"): "total_kimg tick_kimg first_cutoff"
    " first_stopband last_stopband_rel lr_multiplier adjust_kimg conv_clamp"
    " output_scale",
    (1, math.inf, "at least 1"): "pl_batch_shrink G_reg_interval D_reg_interval"
    " rows columns batch checkpoint_ticks image_ticks mbstd_group_size interval",
    # Beyond, a filter or a network would fill the memory before anything is said.
    (1, 101, "from 1 to 100"): "conv_kernel filter_size act_up",
    (1, 2**20 + 1, "from 1 to 2**20"): "img_channels channel_base channel_max z_dim"
    " w_dim",
    (0, 1, "at least 0 and below 1"): "beta2",
    (0, _ABOVE_1, "from 0 to 1"): "pl_decay style_mixing_prob w_avg_beta"
    " magnitude_ema_beta",
    (0, 2**32, "from 0 to 2**32 - 1"): "seed",
    (0, math.inf, "at least 0 and finite (usual: to 1)"): "p",
    (math.nextafter(-1, 0), 1, "above -1 and below 1: a mean of signs"): "target",
}
_OF = {name: row for row, names in RANGES.items() for name in names.split()}


def check(section: str, **values: Any) -> None:
    """Raises SettingError for a value out of range; None is in every range.

    Settings without a range are not checked. Errors name the setting with its section,
    or alone where the section is "".
    """
    for key, value in values.items():
        if key not in _OF or value is None:
            continue
        least, end, words = _OF[key]
        if not least <= value < end:
            name = f"{section}.{key}" if section else key
            raise errors.SettingError(name, value, f"must be {words}")
