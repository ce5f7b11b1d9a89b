"""Checks of a network's settings: each error begins with "name=value"."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Settings = Mapping[str, Any]


@contextlib.contextmanager
def naming(section: str) -> Iterator[None]:
    """Names the section in a ValueError that begins with a setting of it, "key=..."."""
    try:
        yield
    except ValueError as error:
        key, equals, _ = str(error).partition("=")
        if not (equals and key.replace(".", "_").isidentifier()):
            raise
        raise ValueError(f"{section}.{error}") from error


def check_known(settings: Settings, **known: Iterable[str]) -> None:
    """Raises ValueError unless each of these settings is one of those known."""
    for name, allowed in known.items():
        if settings[name] not in tuple(allowed):
            raise ValueError(
                f"{name}={settings[name]!r} is unknown: use one of {', '.join(allowed)}"
            )


def check_sizes(settings: Settings, *names: str) -> None:
    """Raises ValueError unless each of these settings is at least 1, or None."""
    for name in names:
        if settings[name] is not None and settings[name] < 1:
            raise ValueError(f"{name}={settings[name]} must be at least 1")


def check_above_0(settings: Settings, *names: str) -> None:
    """Raises ValueError unless each of these settings is above 0 and finite."""
    for name in names:
        if not 0 < settings[name] < math.inf:
            raise ValueError(f"{name}={settings[name]} must be above 0 and finite")


def check_not_negative(settings: Settings, *names: str) -> None:
    """Raises ValueError unless each of these settings is at least 0, or None."""
    for name in names:
        if settings[name] is not None and settings[name] < 0:
            raise ValueError(f"{name}={settings[name]} must be at least 0")
