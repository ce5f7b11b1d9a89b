"""Checks of a network's settings."""

from collections.abc import Iterable, Mapping
from typing import Any

from afgan_jax import errors, ranges


def check(settings: Mapping[str, Any], known: Mapping[str, Iterable[str]]) -> None:
    """Raises SettingError for a setting out of its range and for an unknown name.

    known: {setting: the names that it may have}.
    """
    ranges.check("", **settings)
    for name, allowed in known.items():
        errors.check_known(name, settings[name], allowed)
