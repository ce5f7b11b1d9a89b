"""Checks of a network's settings."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from afgan_jax import errors

Settings = Mapping[str, Any]
RULES: dict[str, Callable[[float], bool]] = {
    "at least 0": lambda value: value >= 0,
    "at least 1": lambda value: value >= 1,
    "above 0 and finite": lambda value: 0 < value < math.inf,
}


def check_known(settings: Settings, known: Mapping[str, Iterable[str]]) -> None:
    """Raises SettingError unless each of these settings is one of those known."""
    for name, allowed in known.items():
        errors.check_known(name, settings[name], allowed)


def check_numbers(settings: Settings, rule: str, *names: str) -> None:
    """Raises SettingError unless these settings follow one of RULES, or are None."""
    for name in names:
        value = settings[name]
        if value is not None and not RULES[rule](value):
            raise errors.SettingError(name, value, f"must be {rule}")
