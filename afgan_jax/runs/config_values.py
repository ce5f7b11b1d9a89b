"""Values of settings: plain dicts and tuples, of the type that a parameter asks for."""

import ast
import inspect
import typing
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value in plain dicts and tuples."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return value


def typed(name: str, value: Any, parameter: inspect.Parameter | None, old: Any) -> Any:
    """The value as the parameter has it, or else as `old`; text is what it spells.

    Raises ValueError if it is neither.
    """
    kinds = _kinds(parameter, old)
    if isinstance(value, str) and str not in kinds:
        value = _read(value)
    value = plain(value)
    if kinds == {type(None)} or type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return float(value)
    names = {kind.__name__.replace("NoneType", "none") for kind in kinds}
    allowed = " or ".join(sorted(names))
    raise ValueError(f"{name} must be {allowed}, not {value!r}")


def _read(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _kinds(parameter: inspect.Parameter | None, old: Any) -> set[type]:
    """Types that a setting may have: as annotated, or else that of its old value."""
    if parameter is None or parameter.annotation is parameter.empty:
        return {type(old)}
    kinds = set(typing.get_args(parameter.annotation)) or {parameter.annotation}
    return kinds if all(isinstance(kind, type) for kind in kinds) else {type(old)}
