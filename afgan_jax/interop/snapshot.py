"""Networks of a published snapshot, with the settings, names and layouts used here."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from afgan_jax.interop import names, persistence


class Network(NamedTuple):
    """Arguments of make_generator or make_discriminator, and the variables."""

    settings: dict[str, Any]
    variables: dict[str, dict]


def read(path: str | os.PathLike, parts: Sequence[str]) -> dict[str, Network]:
    """Those of the networks "G", "D", "G_ema" named that it has; no code is run.

    Raises ValueError if it has none of them, or a setting has no counterpart here.
    """
    held = persistence.read(path)
    found = {part: held.get(part) for part in parts} if isinstance(held, dict) else {}
    modules = {k: v for k, v in found.items() if isinstance(v, persistence.Module)}
    if not modules:
        *first, last = parts
        what = f"networks {', '.join(first)} and {last}" if first else f"network {last}"
        raise ValueError(f"{path} does not hold the {what}")
    return {part: _network(path, part, module) for part, module in modules.items()}


def _network(path, part: str, module: persistence.Module) -> Network:
    constant = any(name.startswith("synthesis.b4.") for name in module.arrays)
    try:
        if part == "D":
            settings = names.discriminator_settings(module.kwargs)
        else:
            kind = "stylegan2" if constant else "alias_free"
            settings = names.generator_settings(module.kwargs, kind)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Network(settings, names.variables(module.arrays))
