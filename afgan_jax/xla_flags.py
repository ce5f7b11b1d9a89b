"""Which flags the installed XLA knows: one that it does not know ends the process.

A flag is written --name or --name=value, as in the environment variable XLA_FLAGS. The
names are looked up in the libraries of jaxlib, so JAX need not be imported, and may
still be told.
"""

import functools
import importlib.util
import mmap
import pathlib
from collections.abc import Iterable


def known(flags: Iterable[str]) -> list[str]:
    """The flags that the installed XLA knows."""
    return [flag for flag in flags if _is_known(_name(flag))]


def check(environment: str) -> None:
    """Raises ValueError if XLA_FLAGS, given as its text, names a flag not known.

    Text that does not begin with "--" is the name of a file of flags: it passes.
    """
    flags = [word for word in environment.split() if word.startswith("--")]
    unknown = [flag for flag in flags if flag not in known(flags)]
    if unknown:
        raise ValueError(
            f"XLA_FLAGS={environment}: the installed XLA does not know"
            f" {', '.join(map(_name, unknown))}"
        )


def _name(flag: str) -> str:
    return flag.partition("=")[0]


@functools.cache
def _is_known(name: str) -> bool:
    """Whether a library holds the name as a string with its end; True without any."""
    text = name.removeprefix("--").encode() + b"\0"
    libraries = _libraries()
    return not libraries or any(_holds(path, text) for path in libraries)


@functools.cache
def _libraries() -> list[pathlib.Path]:
    """Libraries of jaxlib in which XLA may be, the largest first."""
    spec = importlib.util.find_spec("jaxlib")
    folders = spec.submodule_search_locations if spec else None
    files = [f for folder in folders or () for f in pathlib.Path(folder).iterdir()]
    sizes = {
        f: f.stat().st_size for f in files if f.suffix in (".so", ".dylib", ".pyd")
    }
    large = [f for f, size in sizes.items() if size > 1_000_000]
    return sorted(large, key=sizes.get, reverse=True)


def _holds(path: pathlib.Path, text: bytes) -> bool:
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return content.find(text) >= 0
