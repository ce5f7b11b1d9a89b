"""Checks of a network's settings."""

from collections.abc import Iterable, Mapping
from typing import Any

from afgan_jax import errors, ranges
from afgan_jax.networks import half_precision, rematerialization


def check(settings: Mapping[str, Any], known: Mapping[str, Iterable[str]]) -> None:
    """Raises SettingError for numbers out of range, unknown names, and overflow.

    known: {setting: its names}, but for `remat` and `dtype`, which all networks have.
    """
    ranges.check("", **settings)
    for name, allowed in {**known, "remat": rematerialization.REMAT}.items():
        errors.check_known(name, settings[name], allowed)
    half_precision.check(settings)
