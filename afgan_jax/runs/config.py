"""Configurations: plain nested dicts {section: {key: value}}.

A config file is a Python file with `get_config(arg=None)` that returns an
ml_collections.ConfigDict. A section holds keyword arguments of exactly one function,
and a schema {section: function} says which. Where the program itself passes some of
the function's arguments, the schema holds (function, "name", "name", ...).
Sequences are tuples, whether they come from a config file or from JSON.
"""

import ast
import contextlib
import difflib
import importlib.util
import inspect
import json
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Config = dict[str, dict[str, Any]]
Schema = Mapping[str, Callable | tuple]


def load(
    spec: str, overrides: Mapping[str, Any] | None = None, schema: Schema | None = None
) -> Config:
    """Returns the config that `spec`, "path.py" or "path.py:arg", describes.

    With a schema, keys that the file leaves out get the function's own defaults, so
    that a saved config states everything, and the result is checked. Overrides
    {"train.batch_size": 8} come last; text is read as the type of what it replaces.
    Raises ValueError for a missing file, an unknown key, a missing or mistyped value.
    """
    config = _execute(spec)
    if schema is not None:
        check(config, schema, complete=not overrides)
        config = _with_types(complete(config, schema), schema)
    for name, value in (overrides or {}).items():
        _override(config, name, value, schema or {})
    if schema is not None:
        check(config, schema)
    return config


def check(config: Config, schema: Schema, *, complete: bool = True) -> None:
    """Raises ValueError for a key no function takes and for a missing required one.

    complete=False looks for unknown keys only.
    """
    for section, values in config.items():
        if not isinstance(values, Mapping):
            raise ValueError(f"config section {section!r} is not a section of keys")
        if section not in schema:
            raise ValueError(_unknown(section, schema))
        allowed = _parameters(schema, section)
        for key in values:
            if key not in allowed:
                raise ValueError(_unknown(f"{section}.{key}", schema))
    for section in schema if complete else ():
        stated = config.get(section, {})
        for key, parameter in _parameters(schema, section).items():
            if parameter.default is parameter.empty and key not in stated:
                raise ValueError(
                    f"the config does not set {section}.{key}; state it in the config "
                    f"file or pass --config.{section}.{key}=..."
                )


@contextlib.contextmanager
def naming(section: str) -> Iterator[None]:
    """Names the section in a ValueError that begins with one of its keys, "key=..."."""
    try:
        yield
    except ValueError as error:
        key, equals, _ = str(error).partition("=")
        if not (equals and key.isidentifier()):
            raise
        raise ValueError(f"{section}.{error}") from error


def difference(old: Config, new: Config) -> list[str]:
    """Returns one "section.key: old -> new" for every setting that differs."""
    old, new = _flat(old), _flat(new)
    lines = []
    for name in sorted(old.keys() | new.keys()):
        before, after = (
            repr(side[name]) if name in side else "unset" for side in (old, new)
        )
        if before != after:
            lines.append(f"{name}: {before} -> {after}")
    return lines


def to_json(config: Config) -> str:
    """Returns the config as sorted, indented JSON."""
    return json.dumps(config, sort_keys=True, indent=2) + "\n"


def from_json(text: str) -> Config:
    """Returns the config that to_json wrote."""
    return _plain(json.loads(text))


def _execute(spec: str) -> Config:
    path, colon, arg = spec.partition(".py:")
    path = Path(path + ".py" if colon else path)
    if path.suffix != ".py" or not path.is_file():
        beside = [str(other) for other in path.parent.glob("*.py")]
        raise ValueError(f"there is no config file {path}{_nearest(str(path), beside)}")
    module_spec = importlib.util.spec_from_file_location("afgan_config", path)
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
        config = module.get_config(arg) if arg else module.get_config()
    except (SyntaxError, AttributeError, ImportError, NameError, TypeError) as error:
        raise ValueError(f"the config file {path} is broken: {error}") from error
    return _plain(config.to_dict() if hasattr(config, "to_dict") else config)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value


def _flat(values: Mapping, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and (value or not prefix):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = _plain(value)
    return flat


def _parameters(schema: Schema, section: str) -> dict[str, inspect.Parameter]:
    """The parameters of a section's function that a config may set."""
    entry = schema.get(section)
    if entry is None:
        return {}
    function, *given = entry if isinstance(entry, tuple) else (entry,)
    parameters = dict(inspect.signature(function).parameters)
    by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    assert all(p.kind in by_name for p in parameters.values()), function
    return {name: p for name, p in parameters.items() if name not in given}


def complete(config: Config, schema: Schema) -> Config:
    """Returns the config with the functions' own defaults for what it leaves out."""
    filled = dict(config)
    for section in schema:
        defaults = {
            key: _plain(parameter.default)
            for key, parameter in _parameters(schema, section).items()
            if parameter.default is not parameter.empty
        }
        filled[section] = defaults | config.get(section, {})
    return filled


def _override(config: Config, name: str, value: Any, schema: Schema) -> None:
    section, _, key = name.partition(".")
    parameter = _parameters(schema, section).get(key)
    if parameter is None and key not in config.get(section, {}):
        raise ValueError(_unknown(name, schema, config))
    old = config.get(section, {}).get(key)
    config.setdefault(section, {})[key] = _typed(name, value, _kinds(parameter, old))


def _with_types(config: Config, schema: Schema) -> Config:
    return {
        section: {
            key: _typed(f"{section}.{key}", value, _kinds(parameter, value))
            for key, value in values.items()
            for parameter in (_parameters(schema, section)[key],)
        }
        for section, values in config.items()
    }


def _kinds(parameter: inspect.Parameter | None, old: Any) -> set[type]:
    """Types that a setting may have: as annotated, or else that of its old value."""
    if parameter is None or parameter.annotation is parameter.empty:
        return {type(old)}
    kinds = set(typing.get_args(parameter.annotation)) or {parameter.annotation}
    return kinds if all(isinstance(kind, type) for kind in kinds) else {type(old)}


def _typed(name: str, value: Any, kinds: set[type]) -> Any:
    """Returns value as one of `kinds`, reading text as what it spells."""
    if isinstance(value, str) and str not in kinds:
        value = _read(value)
    value = _plain(value)
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


def _unknown(name: str, schema: Schema, config: Config | None = None) -> str:
    """Says what `name`, "section" or "section.key", was probably meant to be."""
    keys = {section: set(_parameters(schema, section)) for section in schema}
    for section, values in (config or {}).items():
        keys[section] = keys.get(section, set()) | set(values)
    section, dot, key = name.partition(".")
    elsewhere = [f"{other}.{key}" for other in keys if key in keys[other]]
    if elsewhere or (dot and section in keys):
        inside = [f"{section}.{other}" for other in keys.get(section, ())]
        return f"unknown setting {name}{_nearest(name, elsewhere or inside)}"
    if section in keys:
        return f"{section} is a section; name one of its settings, {section}.KEY"
    return f"unknown config section {section!r}{_nearest(section, keys)}"


def _nearest(name: str, names: Iterable[str]) -> str:
    names = list(names)
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if match:
        return f"; did you mean {match[0]}?"
    return f"; there are {', '.join(sorted(names))}" if names else ""
