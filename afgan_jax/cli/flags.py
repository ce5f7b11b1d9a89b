"""The words of the command line: types of arguments, each with its flag and its help.

A type reads the text of one flag and checks it, so that a mistake is told before
anything is loaded. `flag` makes a type; most verbs need those below only.
"""

import dataclasses
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from afgan_jax import places

MOST_NUMBERS = 100_000  # in one flag
MAX_SHIFT = 1000.0  # image widths; beyond, rounding is all there is to see


class Refused(Exception):
    """The text of a flag that cannot be; not a ValueError, which tyro would box."""


def flag(name: str, kind: Any, read: Callable, metavar: str, help: str) -> Any:
    """The type of --name: a `kind` that read(text) makes.

    read raises ValueError with what is wrong, without naming the flag.
    """

    def instance(texts):
        try:
            return read(texts[0])
        except ValueError as error:
            raise Refused(f"--{name}={texts[0]} {error}") from None

    spec = tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=instance,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [spelled(value)],
    )
    about = tyro.conf.arg(name=name, help=help, help_behavior_hint=_hint)
    return Annotated[kind, spec, about]


def _hint(default: str) -> str:
    """What --help says of a default: nothing of one that leaves the choice open."""
    shown = default.removeprefix("(default: ").removesuffix(")")
    return "" if shown in ("", "None", "''") else f"(default: {shown})"


def spelled(value: Any) -> str:
    """A value as it is written in a flag."""
    if isinstance(value, tuple) and len(value) > 2 and isinstance(value[0], int):
        if value == tuple(range(value[0], value[-1] + 1)):
            return f"{value[0]}-{value[-1]}"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def text(name: str, help: str, metavar: str = "TEXT") -> Any:
    return flag(name, str | None, _filled, metavar, help)


def positional(metavar: str, kind: Any = str) -> Any:
    """The type of a word without a flag, or of a tuple of them."""
    about = tyro.conf.arg(metavar=metavar, help="")
    return Annotated[kind, tyro.conf.Positional, about]


def switch(help: str) -> Any:
    """The type of what is on or off; --no-NAME switches off what is on by default."""
    return Annotated[bool, tyro.conf.arg(help=help, help_behavior_hint="")]


def choice(name: str, help: str, *words: str) -> Any:
    """The type of one of these words."""

    def read(text):
        if text not in words:
            raise ValueError(f"is unknown: use one of {', '.join(words)}")
        return text

    return flag(name, str | None, read, "|".join(words), help)


def count(name: str, help: str, least: int = 1, most: int | None = None) -> Any:
    """The type of a whole number, from `least` to `most` (None: or more)."""
    words = f", {least} or more" if most is None else f" from {least} to {most}"

    def read(text):
        is_whole = text.removeprefix("-").isdecimal()
        if not (is_whole and least <= int(text) <= (most or math.inf)):
            raise ValueError(f"must be a whole number{words}")
        return int(text)

    return flag(name, int | None, read, "N", help)


def number(name: str, help: str, least: float = -math.inf) -> Any:
    """The type of a finite number, `least` or more."""

    def read(text):
        value = _float(text)
        if not math.isfinite(value):
            raise ValueError("must be a finite number")
        if value < least:
            raise ValueError(f"must be {least:g} or more")
        return value

    return flag(name, float | None, read, "X", help)


def _float(text: str) -> float:
    """The number; NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def folder(name: str, help: str) -> Any:
    """The type of a folder to write in."""
    return flag(name, Path | None, writable, "FOLDER", help)


def file(name: str, help: str) -> Any:
    """The type of a file to write."""

    def read(text):
        if expanded(text).is_dir():
            raise ValueError("is a folder; name a file")
        return placeable(text)

    return flag(name, Path | None, read, "FILE", help)


def placeable(text: str) -> Path:
    """The path of something to be made in a folder where that can be."""
    path = expanded(text)
    writable(str(path.parent))
    return path


def names(name: str, help: str) -> Any:
    """The type of words with commas between."""
    return flag(name, tuple[str, ...] | None, _split, "A,B,...", help)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _filled(text: str) -> str:
    if not text:
        raise ValueError("is empty: name one, or leave it out")
    return text


def expanded(path: str | os.PathLike) -> Path:
    """`places.expanded`, on this machine."""
    text = places.expanded(path)
    if places.is_url(text):
        raise ValueError("cannot be: it is in a bucket; name a place on this machine")
    return Path(text)


def writable(folder: str | os.PathLike) -> Path:
    """The folder; ValueError if it is not there and cannot be made, or is closed."""
    path = home = expanded(folder).absolute()
    while not home.exists():
        home = home.parent
    if not home.is_dir():
        raise ValueError(f"cannot be: {home} is a file; name a folder")
    try:
        # Rights alone do not tell: a superuser has them on read-only disks as well.
        tempfile.TemporaryFile(dir=home).close()
    except OSError as error:
        raise ValueError(
            f"cannot be: nothing can be written in {home} ({error.strerror}); name"
            " another place"
        ) from error
    return path


def workdir(text: str) -> Path | str:
    """The folder as `writable`, or the URL of one in a bucket."""
    path = places.expanded(text)
    return path if places.is_url(path) else writable(text)


def check_writable(name: str, path: str | os.PathLike) -> None:
    """Raises ValueError if nothing can be written in the folder that --name means."""
    try:
        writable(path)
    except ValueError as error:
        raise ValueError(f"--{name}={path} {error}") from error


def check_alone(flag: str, **others: Any) -> None:
    """Raises ValueError if others are given, that --flag has no use for.

    others: None or False of what is not given.
    """
    for name, value in others.items():
        if value is not None and value is not False:
            said = name.rstrip("_")
            raise ValueError(
                f"--{said} does not go with --{flag}: leave one of them out"
            )


def ranges(text: str) -> tuple[int, ...]:
    """The numbers that "0-15" or "1,3,5-7" names, each once, in that order."""
    found = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"is no range like 0-15, at {part!r}")
        low, high = int(first), int(last or first)
        if not low <= high < 2**32:
            raise ValueError(f"must rise, below 2**32, at {part!r}")
        if high - low + len(found) >= MOST_NUMBERS:
            raise ValueError(f"is too much: give at most {MOST_NUMBERS} at a time")
        found |= dict.fromkeys(range(low, high + 1))
    return tuple(found)


def vector(text: str) -> tuple[float, float]:
    """The two numbers of "0.1,0"."""
    found = tuple(map(_float, text.split(",")))
    if len(found) != 2 or not all(abs(number) <= MAX_SHIFT for number in found):
        raise ValueError(f"must be two numbers such as 0.1,0, within {MAX_SHIFT}")
    return found


def rows_and_columns(text: str) -> tuple[int, int]:
    """The two numbers of "2x3"."""
    rows, cross, columns = text.partition("x")
    is_pair = cross and rows.isdecimal() and columns.isdecimal()
    if not is_pair or not (0 < int(rows) <= 64 and 0 < int(columns) <= 64):
        raise ValueError("must be ROWSxCOLUMNS such as 2x3, each up to 64")
    return int(rows), int(columns)


def pushes(text: str) -> dict[str, float]:
    """The amounts of "pca0=2,3=-1" by name or number."""
    found = {}
    for part in text.split(","):
        name, equals, amount = part.strip().partition("=")
        if not (name and equals and math.isfinite(_float(amount))):
            raise ValueError(
                f"must be NAME=NUMBER, such as pca0=2, at {part.strip()!r}"
            )
        found[name] = float(amount)
    return found


def numbers(text: str) -> list[float]:
    """The numbers of "0.5,1,..."."""
    found = list(map(_float, text.split(",")))
    if not all(map(math.isfinite, found)):
        raise ValueError("must be numbers such as 0.5,1")
    return found


def probability(text: str) -> float:
    """The number from 0 to 1 that text says."""
    if not 0 <= _float(text) <= 1:
        raise ValueError("must be a number from 0 to 1")
    return float(text)


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A config by name or file, with its argument; changes: {"section.key": value}."""

    spec: str
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return self.spec


_RUN = "run, RUN@STEP, model file, published snapshot (.pkl) or earth64"
Run = flag("run", str, _filled, "SOURCE", _RUN)
OptionalRun = flag("run", str | None, _filled, "SOURCE", _RUN)
Step = count("step", "checkpoint of the run; default: newest", least=0)
_CONFIG = "settings by name or file, such as earth64 or mine.py:r;"
_CONFIG += " --config.SECTION.KEY=VALUE changes one"


def _configuration(text: str) -> Configuration:
    return Configuration(_filled(text))


Config = flag("config", Configuration, _configuration, "NAME[:ARG]", _CONFIG)
OptionalConfig = flag(
    "config", Configuration | None, _configuration, "NAME[:ARG]", _CONFIG
)
_WORKDIR = "run directory, new or resumed, here or in a bucket (gs://...)"
Workdir = flag("workdir", Path | str, workdir, "FOLDER", _WORKDIR)
Data = text("data", "real images: zip or folder", "SET")
Classes = text("data", "set of the classes; default: the run's", "SET")
Images = text("images", "in place of --run: images of any origin", "SET")
Most = count("max-images", "only so many of --images, chosen by --seed")
Seeds = flag("seeds", tuple[int, ...], ranges, "RANGE", "such as 0-15 or 1,3,5-7")
OptionalSeeds = flag(
    "seeds", tuple[int, ...] | None, ranges, "RANGE", "such as 0-15 or 1,3,5-7"
)
Samples = count("samples", "how many images are generated")
Batch = count("batch", "images at a time")
Psi = number("psi", "truncation: 1 none, 0 the average image")
Dpi = count("dpi", "of the PNG", 20)
Smooth = number("smooth", "blur by so many samples", least=0)
Workers = count("workers", "threads; default: all cores")
Class = text("class", "class of a conditional net's images: number or name", "CLASS")
Label = flag(
    "label", list[float] | None, numbers, "A,B,...", "or their label: its numbers"
)
Rotate = number("rotate", "turn the image counterclockwise, degrees")
Translate = flag(
    "translate",
    tuple[float, float],
    vector,
    "X,Y",
    "move by x (right) and y (down), in units of the shorter side",
)
Drift = flag(
    "drift", tuple[float, float], vector, "X,Y", "move by so much in all, at even speed"
)
Layers = text(
    "layers", "rows of ws: numbers, layers or ranges, such as 0-2,L5", "A-B,..."
)
Ws = text("ws", "in place of --seeds: .npz of ws", "FILE")
DirectionsFile = text("directions", "that `directions` wrote, for --push", "FILE")
Push = flag(
    "push",
    dict[str, float] | None,
    pushes,
    "NAME=X,...",
    "move w along directions, by standard deviations",
)
Zoom = number("zoom", "enlarge the image so many times", least=0.001)
Grid = flag("grid", tuple[int, int], rows_and_columns, "ROWSxCOLUMNS", "images at once")
Tiles = flag(
    "tiles",
    tuple[int, int],
    rows_and_columns,
    "ROWSxCOLUMNS",
    "see beyond the frame: so many canvases",
)
Squares = switch("draw pixels of small images as squares, not enlarged smoothly")
Weights = names("weights", "files of the networks: inception=FILE,vgg16=FILE,...")
Outdir = folder("outdir", "folder for what is written")
Out = file("out", "file for the same numbers")
