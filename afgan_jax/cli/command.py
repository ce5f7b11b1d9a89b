"""A typed function as a command: its arguments are the flags.

The types of cli.flags read them and say what they are for.
"""

import contextlib
import dataclasses
import difflib
import functools
import inspect
import io
import re
import shlex
from collections.abc import Callable

import tyro

from afgan_jax import errors
from afgan_jax.cli import flags
from afgan_jax.viz import captions


def run(module, verb: str, argv: list[str]) -> int:
    """Calls what argv asks of the module of a verb; returns the exit code.

    Raises ValueError, in one line that names the flag, for what cannot be.
    """
    call = read(module, verb, argv)
    if call is None:
        return 0
    try:
        with captions.of(shlex.join(["python", "-m", "afgan_jax", verb, *argv])):
            return call() or 0
    except errors.SettingError as error:
        flag = _flag(error.name, inspect.signature(call.func).parameters)
        value = flags.spelled(error.value)
        raise ValueError(f"{flag}={value} {error.why}") from error


def read(module, verb: str, argv: list[str]) -> functools.partial | None:
    """The call that argv asks for; None if it asked for --help, which is printed.

    The module has main, or PARTS, modules by the first word. A config's settings,
    --config.section.key=value, go into the argument `config`. Raises ValueError for
    flags that are not those of main.
    """
    parts = getattr(module, "PARTS", None)
    if parts is None:
        return _read(module.main, argv, verb, module.__doc__)
    if argv and argv[0] in ("-h", "--help"):
        print(f"python -m afgan_jax {verb} PART [flags]\n\n{module.__doc__}")
        print("Parts (PART --help for its flags):")
        for name, part in parts.items():
            print(f"  {name:20} {part.__doc__.splitlines()[0]}")
        return None
    part, *rest = argv or [""]
    if part not in parts:
        near = difflib.get_close_matches(part, parts, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(parts)}"
        raise ValueError(f"{verb} {part!r} is unknown; {hint}")
    return read(parts[part], f"{verb} {part}", rest)


def _read(function: Callable, argv: list[str], name: str, text: str):
    """The call of one function; `text` is what --help says above the flags."""
    changes = {}
    if "config" in inspect.signature(function).parameters:
        argv, changes = _split_changes(argv)
    arguments = _parse(function, argv, name, text)
    if arguments is None:
        return None
    words, named = arguments
    if changes:
        if named["config"] is None:
            name = next(iter(changes))
            raise ValueError(f"--config.{name} is for --config, which is not given")
        named["config"] = dataclasses.replace(named["config"], changes=changes)
    return functools.partial(function, *words, **named)


def _flag(name: str, parameters) -> str:
    if name in parameters:
        return "--" + name.strip("_").replace("_", "-")
    return f"--config.{name}" if "config" in parameters and "." in name else name


def _split_changes(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """argv without --config.NAME=VALUE, and {NAME: VALUE} of these."""
    rest, changes = [], {}
    for argument in argv:
        name, equals, value = argument.partition("=")
        if not name.startswith("--config."):
            rest.append(argument)
        elif not equals:
            raise ValueError(f"write {argument}=VALUE, with an equals sign")
        else:
            changes[name.removeprefix("--config.")] = value
    return rest, changes


def _parse(function, argv: list[str], name: str, text: str) -> tuple | None:
    """The function's arguments, (words, by name); None if --help was printed."""

    def arguments(*words, **named):
        return words, named

    vars(arguments).pop("__wrapped__", None)  # of a decorator, whose signature it has
    arguments.__signature__ = inspect.signature(function)
    arguments.__annotations__ = function.__annotations__
    if {"-h", "--help"} & set(argv):
        print(text)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            given, unknown = tyro.cli(
                arguments,
                prog=f"python -m afgan_jax {name}",
                description="",
                args=argv,
                config=(tyro.conf.FlagCreatePairsOff,),
                return_unknown_args=True,
            )
    except flags.Refused as error:
        raise ValueError(str(error)) from None
    except SystemExit as end:
        if not end.code:
            return None
        raise ValueError(_fault(said.getvalue())) from None
    if unknown:
        raise ValueError(_unknown(unknown[0], arguments.__signature__))
    return given


def _fault(said: str) -> str:
    """tyro's box of an error in one line."""
    lines = [line.strip("│|").strip() for line in said.splitlines()[1:]]
    text = " ".join(line for line in lines if line.strip("─-+╰╯"))
    missing = re.search(r"Missing from [^:]*: (\S+)(.*?) ?\(required\)", text)
    if missing:
        help_text = missing[2].strip().partition(" ")[2]
        return f"{missing[1]} is missing: {help_text or '--help says what it is'}"
    lacking = re.search(r"Missing value for argument \W*(--[\w-]+)", text)
    if lacking:
        return f"{lacking[1]} has no value: write {lacking[1]}=VALUE"
    text = re.split(r" Argument helptext:| For full helptext", text)[0]
    text = re.sub(r"^Error parsing (--\S+?): ", r"\1: ", text)
    return f"{text} (--help lists the flags)"


def _unknown(argument: str, signature: inspect.Signature) -> str:
    if not argument.startswith("-"):
        return f"{argument!r} is not a flag; write --name=value"
    known = [f"--{name.strip('_').replace('_', '-')}" for name in signature.parameters]
    name = argument.partition("=")[0]
    near = difflib.get_close_matches(name.replace("_", "-"), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "--help lists the flags"
    return f"unknown flag {name}; {hint}"
