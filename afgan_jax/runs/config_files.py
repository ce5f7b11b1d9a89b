"""Config files: Python modules with `get_config(arg=None)`, which returns a ConfigDict.

Files of a folder may import each other: `from . import base`.
"""

import contextlib
import difflib
import importlib.util
import itertools
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from afgan_jax import places

_numbers = itertools.count()


def execute(spec: str) -> Mapping:
    """What get_config returns in the file "path.py", "path.py:arg" or "name:arg".

    Names, and paths that do not exist, are looked up among the project's own files.
    Raises ValueError if there is no such file, or if it is broken.
    """
    path, arg = find(spec)
    try:
        with _package(path.parent) as package:
            name = f"{package}.{path.stem.replace('.', '_')}"
            module_spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(module_spec)
            module_spec.loader.exec_module(module)
            config = module.get_config(arg) if arg else module.get_config()
    except (SyntaxError, AttributeError, ImportError, NameError, TypeError) as error:
        raise ValueError(f"the config file {path} is broken: {error}") from error
    return config.to_dict() if hasattr(config, "to_dict") else config


def find(spec: str) -> tuple[Path, str]:
    """(file, arg) of a spec. Raises ValueError if there is no such file."""
    text, colon, arg = spec.partition(".py:")
    if not colon and not spec.endswith(".py"):
        text, _, arg = spec.partition(":")
    path = places.local(text.removesuffix(".py") + ".py")
    candidates = [path]
    if path.parent == Path():
        candidates.append(folder() / path)
    elif path.parent == Path("configs"):
        candidates.append(folder() / path.name)
    for place in candidates:
        if place.is_file():
            return place, arg
    others = [str(other) for other in path.parent.glob("*.py")]
    if len(candidates) > 1:
        others += [other.stem for other in folder().glob("*.py")]
    raise ValueError(f"there is no config file {path}{nearest(str(path), others)}")


def folder() -> Path:
    """The project's own config files: in an installed package, else beside it."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


@contextlib.contextmanager
def _package(path: Path) -> Iterator[str]:
    """Makes the folder a package while one of its files is executed; its name."""
    package = types.ModuleType(f"afgan_config_files_{next(_numbers)}")
    package.__path__ = [str(path)]
    sys.modules[package.__name__] = package
    try:
        yield package.__name__
    finally:
        for name in list(sys.modules):
            if name.partition(".")[0] == package.__name__:
                del sys.modules[name]


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message on an unknown name: the nearest known one, or all."""
    names = list(names)
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if match:
        return f"; did you mean {match[0]}?"
    return f"; there are {', '.join(sorted(names))}" if names else ""
