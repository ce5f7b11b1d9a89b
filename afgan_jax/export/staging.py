"""Files that appear together, once they have been checked."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from afgan_jax import errors


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A path of the same name in a hidden folder beside `out`.

    What the block writes beside that path takes its place when the block ends, `out`
    itself last; nothing of it after an error.
    """
    is_new = not out.parent.exists()
    with errors.accessing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent)
    with contextlib.ExitStack() as stack:
        if is_new:
            stack.callback(_remove_if_empty, out.parent)
        name = stack.enter_context(folder)
        yield Path(name) / out.name
        files = sorted(Path(name).iterdir(), key=lambda file: file.name == out.name)
        for file in files:
            os.replace(file, out.parent / file.name)


def check_new(folder: Path) -> None:
    """Raises SettingError unless a folder of this name can be new."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise errors.SettingError("out", str(folder), "exists: name a new folder")


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
