"""Configurations: plain nested dicts {section: {key: value}}.

A section holds keyword arguments of exactly one function, and a schema {section:
function} says which. Instead of the function, a schema may hold

    (function, "name", ...)    to exclude arguments that the program passes itself,
    Kinds                      where the setting "kind" chooses the function,
    another schema             for a section of sections.

Settings are named "section.key", those of inner sections "section.inner.key". Sequences
are tuples, whether they come from a config file or from JSON.
"""

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from afgan_jax import errors, json_files
from afgan_jax.runs import config_files, config_values

Config = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Kinds:
    """A section that holds "kind" and arguments of the function of this kind."""

    functions: Mapping[str, Callable]
    default: str


Schema = Mapping[str, Callable | tuple | Kinds | Mapping]
KEYWORD = inspect.Parameter.KEYWORD_ONLY


def load(
    spec: str, overrides: Mapping[str, Any] | None = None, schema: Schema | None = None
) -> Config:
    """The config of a file: `spec` is such as "earth64" or "my.py:arg".

    A schema fills in the defaults of keys that the file omits, and checks the result.
    Overrides {"train.batch_size": 8} come last; text is parsed as the setting's type.
    Another "kind" of a section leaves out what the file says for its own kind alone.
    Without a schema the file's settings are returned as they are.
    Raises ValueError for a missing file, an unknown key, a missing or mistyped value.
    """
    config = config_values.plain(config_files.execute(spec))
    if schema is None:
        return config
    overrides = dict(overrides or {})
    kinds = {k: overrides.pop(k) for k in list(overrides) if k.endswith(".kind")}
    for name, value in kinds.items():  # first: they decide which settings exist
        config = _override(config, name, value, schema)
        section = name.rpartition(".")[0]
        known, stated = _sections(config, schema)[section], _section(config, section)
        of_kind = {key: value for key, value in stated.items() if key in known}
        config = _with(config, section, of_kind)
    check(config, schema, complete=not overrides)
    config = _complete(config, schema)
    for name, value in overrides.items():
        config = _override(config, name, value, schema)
    check(config, schema)
    return config


def check(config: Config, schema: Schema, *, complete: bool = True) -> None:
    """Raises ValueError for an unknown key and, if `complete`, for a missing one."""
    sections = _sections(config, schema)
    for name in _stated(config, sections):
        section, _, key = name.rpartition(".")
        if key not in sections.get(section, ()):
            raise ValueError(_unknown(name, config, schema))
    for section, parameters in sections.items() if complete else ():
        stated = _section(config, section)
        for key, parameter in parameters.items():
            if parameter.default is parameter.empty and key not in stated:
                raise ValueError(f"the config does not set {section}.{key}: add it")


def check_saved(config: Config, schema: Schema, where: str) -> Config:
    """The config of an older run, read from `where`, with defaults filled in.

    Raises ValueError if it is of a version with other settings.
    """
    try:
        check(config, schema)
    except ValueError as error:
        raise ValueError(
            f"{where} is of another version of this program: {error}. Use the version"
            " that wrote it, or train again"
        ) from None
    return _complete(config, schema)


def value(config: Config, name: str) -> Any:
    """The setting of this name."""
    section, _, key = name.rpartition(".")
    return _section(config, section)[key]


def difference(old: Config, new: Config) -> list[str]:
    """A line "section.key: old -> new" for every setting that differs."""
    old, new = flat(old), flat(new)
    lines = []
    for name in sorted(old.keys() | new.keys()):
        before, after = (
            repr(side[name]) if name in side else "unset" for side in (old, new)
        )
        if before != after:
            lines.append(f"{name}: {before} -> {after}")
    return lines


def to_json(config: Config) -> str:
    """The config as sorted, indented JSON, sealed (see json_files)."""
    return json.dumps(json_files.seal(config), sort_keys=True, indent=2) + "\n"


def from_json(text: str | bytes, where: object = "the config") -> Config:
    """The config that to_json wrote; ValueError, naming `where`, for other text."""
    config = json_files.parse(text, where)
    sections = config.values() if isinstance(config, dict) else [None]
    if not all(isinstance(section, dict) for section in sections):
        raise ValueError(f"{where} holds no sections of settings")
    return config_values.plain(config)


def flat(values: Mapping, prefix: str = "") -> dict[str, Any]:
    """{"section.key": value} of all settings."""
    found = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and (value or not prefix):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = config_values.plain(value)
    return found


def _sections(
    config: Config, schema: Schema, prefix: str = ""
) -> dict[str, dict[str, inspect.Parameter]]:
    """{name of a section: {key: parameter that it sets}}, inner sections by path.

    Raises ValueError for a section that is not a mapping and for an unknown kind.
    """
    found = {}
    for name, entry in schema.items():
        name = prefix + name
        if isinstance(entry, Mapping):
            found |= _sections(config, entry, f"{name}.")
        elif isinstance(entry, Kinds):
            kind = _section(config, name).get("kind", entry.default)
            with errors.naming(name):
                errors.check_known("kind", kind, entry.functions)
            chosen = inspect.Parameter("kind", KEYWORD, default=entry.default)
            chosen = chosen.replace(annotation=str)
            found[name] = {"kind": chosen, **_parameters(entry.functions[kind])}
        else:
            _section(config, name)
            found[name] = _parameters(entry)
    return found


def _stated(config: Mapping, sections: Iterable[str], prefix: str = "") -> list[str]:
    """Names of all settings, and of entries that are no setting of a section."""
    names = []
    for key, value in config.items():
        name = prefix + key
        if name in sections:
            names += [f"{name}.{inner}" for inner in value]
        elif any(section.startswith(f"{name}.") for section in sections):
            names += _stated(value, sections, f"{name}.")
        else:
            names.append(name)
    return names


def _parameters(entry: Callable | tuple) -> dict[str, inspect.Parameter]:
    """The parameters of a section's function that a config may set."""
    function, *given = entry if isinstance(entry, tuple) else (entry,)
    parameters = dict(inspect.signature(function).parameters)
    by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, KEYWORD
    assert all(p.kind in by_name for p in parameters.values()), function
    return {name: p for name, p in parameters.items() if name not in given}


def _section(config: Config, name: str) -> Mapping[str, Any]:
    """The section of this name, {} if there is none."""
    found = config
    for part in filter(None, name.split(".")):
        found = found.get(part, {})
        if not isinstance(found, Mapping):
            raise ValueError(f"config section {name!r} is not a section of keys")
    return found


def _with(config: Config, name: str, values: Mapping[str, Any]) -> Config:
    """The config with another section of this name."""
    first, dot, rest = name.partition(".")
    inner = _with(_section(config, first), rest, values) if dot else dict(values)
    return {**config, first: inner}


def _complete(config: Config, schema: Schema) -> Config:
    """The config in the types of its functions, with their defaults for other keys."""
    for section, parameters in _sections(config, schema).items():
        values = {
            key: parameter.default
            for key, parameter in parameters.items()
            if parameter.default is not parameter.empty
        } | _section(config, section)
        for key, value in values.items():
            name = f"{section}.{key}"
            values[key] = config_values.typed(name, value, parameters[key], value)
        config = _with(config, section, values)
    return config


def _override(config: Config, name: str, value: Any, schema: Schema) -> Config:
    section, _, key = name.rpartition(".")
    values = _section(config, section)
    parameter = _sections(config, schema).get(section, {}).get(key)
    if parameter is None:
        raise ValueError(_unknown(name, config, schema))
    value = config_values.typed(name, value, parameter, values.get(key))
    return _with(config, section, {**values, key: value})


def _unknown(name: str, config: Config, schema: Schema) -> str:
    """A message on an unknown setting or section, with the nearest known name."""
    sections = _sections(config, schema)
    section, _, key = name.rpartition(".")
    if section in sections and (wrong := _of_another_kind(name, config, schema)):
        return wrong
    known = [f"{other}.{inner}" for other in sections for inner in sections[other]]
    if any(other.startswith(f"{name}.") for other in known):
        return f"{name} is a section; name one of its settings, {name}.KEY"
    elsewhere = [other for other in known if other.endswith(f".{key}")]
    inside = [other for other in known if other.startswith(f"{section}.")]
    if section and (near := elsewhere or inside):
        return f"unknown setting {name}{config_files.nearest(name, near)}"
    wrong = section or name
    return f"unknown config section {wrong!r}{config_files.nearest(wrong, sections)}"


def _of_another_kind(name: str, config: Config, schema: Schema) -> str | None:
    """A message on a setting that other kinds of its section have; None if none do."""
    section, _, key = name.rpartition(".")
    entry = schema
    for part in section.split("."):
        entry = entry.get(part) if isinstance(entry, Mapping) else None
    if not isinstance(entry, Kinds):
        return None
    kind = _section(config, section).get("kind", entry.default)
    others = [k for k, f in entry.functions.items() if key in _parameters(f)]
    if not others:
        return None
    return (
        f"{name} does not apply to {section}.kind={kind!r}, but to"
        f" {' and '.join(others)}: remove it"
    )
