"""Models that come with the package, by name; see box/README.md."""

import os
from pathlib import Path

from afgan_jax.interop.model_file import SUFFIX

FOLDER = Path(__file__).parent / "box"


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def path(text: str) -> Path | None:
    """The file of a model of this name, unless there is something else of that name."""
    named = text in names() and not os.path.lexists(text)
    return FOLDER / f"{text}{SUFFIX}" if named else None
