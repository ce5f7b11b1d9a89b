"""The published program's networks in this project's words: settings, names, layouts.

There, activations are [N C H W], convolution weights [out in kh kw] and dense ones [out
in]; here [N H W C], [kh kw in out] and [in out].
"""

from collections.abc import Mapping
from typing import Any

Array = Any  # NumPy's, or another library's alike

BUFFERS = ("freqs", "phases", "w_avg", "magnitude_ema", "noise_const")
# Follow from the settings here.
CONSTANTS = ("resample_filter", "up_filter", "down_filter", "transform")
SAME_NAME = (
    "z_dim c_dim w_dim img_channels channel_base channel_max conv_clamp conv_kernel"
    " num_layers num_critical first_cutoff first_stopband last_stopband_rel"
    " output_scale filter_size magnitude_ema_beta architecture cmap_dim"
)
RENAMED = {
    "img_resolution": "resolution",
    "margin_size": "margin",
    "lrelu_upsampling": "act_up",
    "use_radial_filters": "radial",
    "num_fp16_res": "num_half_res",
} | {name: name for name in SAME_NAME.split()}
NESTED = {
    "mapping_kwargs": {
        "num_layers": "mapping_layers",
        "lr_multiplier": "mapping_lr_multiplier",
        "w_avg_beta": "w_avg_beta",
    },
    "epilogue_kwargs": {
        "mbstd_group_size": "mbstd_group_size",
        "mbstd_num_channels": "mbstd_num_channels",
    },
    "block_kwargs": {},
}
# How things are computed, or trained: no part of these settings.
WITHOUT_EFFECT = {"fused_modconv_default", "freeze_layers"}


def settings(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of make_generator or make_discriminator.

    Raises ValueError for an argument that has no counterpart.
    """
    known, flat = dict(RENAMED), dict(kwargs)
    for name, inner in NESTED.items():
        for key, value in flat.pop(name, {}).items():
            flat[f"{name}.{key}"] = value
        known |= {f"{name}.{key}": ours for key, ours in inner.items()}
    out = {}
    for name, value in flat.items():
        if name.rpartition(".")[2] in WITHOUT_EFFECT:
            continue
        if name not in known:
            raise ValueError(f"{name}={value!r} of a published network is unknown here")
        out[known[name]] = value
    return out


def variables(arrays: Mapping[str, Array]) -> dict[str, dict]:
    """{"params", "buffers"} of arrays by dotted name; constants are left out."""
    out = {"params": {}, "buffers": {}}
    for name, a in arrays.items():
        *path, leaf = name.split(".")
        if leaf in CONSTANTS:
            continue
        tree = out["buffers" if leaf in BUFFERS else "params"]
        for part in path:
            tree = tree.setdefault(part, {})
        tree[leaf] = to_ours(name, a)
    return out


def to_ours(name: str, a: Array) -> Array:
    """A parameter, or its gradient, in the layout here."""
    if name.endswith("b4.fc.weight"):  # flattened as (C, H, W) there, (H, W, C) here
        a = a.reshape(a.shape[0], -1, 4, 4).transpose(2, 3, 1, 0)
        return a.reshape(-1, a.shape[-1])
    if a.ndim == 4:
        return a.transpose(2, 3, 1, 0)
    if name.endswith("const") and a.ndim == 3:
        return a.transpose(1, 2, 0)
    return a.T if name.endswith("weight") and a.ndim == 2 else a
