"""Values of settings: plain dicts and tuples, of the type of their parameter."""

import ast
import inspect
import typing
from collections.abc import Mapping
from typing import Any

from afgan_jax import errors


def plain(value: Any) -> Any:
    """The value in plain dicts and tuples."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return value


def typed(name: str, value: Any, parameter: inspect.Parameter, old: Any) -> Any:
    """The value in the type of the parameter, or else of `old`; text is parsed.

    Raises SettingError if it has another type.
    """
    kinds = _kinds(parameter, old)
    if isinstance(value, str) and str not in kinds:
        value = _read(value)
    value = plain(value)
    if kinds == {type(None)} or type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return float(value)
    words = {"NoneType": "none", "tuple": "numbers with commas between"}
    names = {words.get(kind.__name__, kind.__name__) for kind in kinds}
    why = f"must be {' or '.join(sorted(names))}"
    raise errors.SettingError(name, value, why)


def _read(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _kinds(parameter: inspect.Parameter, old: Any) -> set[type]:
    """The types a setting may have: as annotated, or else that of its old value."""
    if parameter.annotation is parameter.empty:
        return {type(old)}
    kinds = set(typing.get_args(parameter.annotation)) or {parameter.annotation}
    return kinds if all(isinstance(kind, type) for kind in kinds) else {type(old)}
