"""Settings, names and layouts of the published program's networks, translated.

There, activations are [N C H W], convolution weights [out in kh kw] and dense ones [out
in]; here [N H W C], [kh kw in out] and [in out].
"""

from collections.abc import Iterator, Mapping
from typing import Any

Array = Any  # NumPy's, or one with the same methods

BUFFERS = ("freqs", "phases", "w_avg", "magnitude_ema", "noise_const")
# Computed from the settings here.
CONSTANTS = ("resample_filter", "up_filter", "down_filter", "transform")


def _same(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


# {name there: name here}, inner arguments as "mapping_kwargs.num_layers".
BOTH = {"img_resolution": "resolution", "num_fp16_res": "num_half_res"}
BOTH |= _same("img_channels channel_base channel_max conv_clamp architecture")
SYNTHESIS = BOTH | {
    "margin_size": "margin",
    "lrelu_upsampling": "act_up",
    "use_radial_filters": "radial",
}
SYNTHESIS |= _same(
    "conv_kernel num_layers num_critical first_cutoff first_stopband last_stopband_rel"
    " output_scale filter_size magnitude_ema_beta"
)
MAPPING = _same("z_dim c_dim w_dim")
MAPPING |= {
    f"mapping_kwargs.{k}": k for k in ("num_layers", "lr_multiplier", "w_avg_beta")
}
DISCRIMINATOR = BOTH | _same("c_dim cmap_dim")
DISCRIMINATOR |= {"mapping_kwargs.num_layers": "mapping_layers"}
DISCRIMINATOR |= {
    f"epilogue_kwargs.{k}": k for k in ("mbstd_group_size", "mbstd_num_channels")
}
INNER = ("mapping_kwargs", "epilogue_kwargs", "block_kwargs")
# They change only how networks are computed or trained.
WITHOUT_EFFECT = {"fused_modconv_default", "freeze_layers"}


def generator_settings(kwargs: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Arguments of make_generator with a synthesis network of this kind.

    Raises ValueError for an argument without a counterpart here.
    """
    mapping, synthesis = _settings(kwargs, MAPPING, SYNTHESIS)
    return {"mapping": mapping, "synthesis": {"kind": kind, **synthesis}}


def discriminator_settings(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of make_discriminator; ValueError as above."""
    (found,) = _settings(kwargs, DISCRIMINATOR)
    return {"mbstd_layout": "interleaved", **found}


def _settings(kwargs: Mapping[str, Any], *tables: dict) -> list[dict[str, Any]]:
    """The settings named in each table."""
    flat = {key: value for key, value in kwargs.items() if key not in INNER}
    for name in INNER:
        flat |= {f"{name}.{key}": v for key, v in kwargs.get(name, {}).items()}
    found = [{} for _ in tables]
    for name, value in flat.items():
        if name.rpartition(".")[2] in WITHOUT_EFFECT:
            continue
        table = next((i for i, table in enumerate(tables) if name in table), None)
        if table is None:
            raise ValueError(f"{name}={value!r} of a published network is unknown here")
        found[table][tables[table][name]] = value
    return found


def arguments(settings: Mapping[str, Any], table: Mapping[str, str]) -> dict[str, Any]:
    """The reverse of `generator_settings`, by one table: arguments there."""
    found: dict[str, Any] = {}
    for name, ours in table.items():
        if ours in settings:
            inner, _, key = name.rpartition(".")
            (found.setdefault(inner, {}) if inner else found)[key] = settings[ours]
    return found


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


def tensors(variables: Mapping[str, Any]) -> dict[str, Array]:
    """The reverse of `variables`: arrays by dotted name, in the layout there."""
    leaves = (leaf for tree in variables.values() for leaf in _leaves(tree))
    return {name: to_theirs(name, array) for name, array in leaves}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Array]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def to_theirs(name: str, a: Array) -> Array:
    """A parameter in the layout there."""
    if name.endswith("b4.fc.weight"):
        a = a.reshape(4, 4, -1, a.shape[-1]).transpose(3, 2, 0, 1)
        return a.reshape(a.shape[0], -1)
    if a.ndim == 4:
        return a.transpose(3, 2, 0, 1)
    if name.endswith("const") and a.ndim == 3:
        return a.transpose(2, 0, 1)
    return a.T if name.endswith("weight") and a.ndim == 2 else a
