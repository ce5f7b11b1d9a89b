"""Where files are: paths as people write them, and folders of caches.

A cache saves time and is never needed: where there is no place for one, a line says so
and work goes on without.
"""

import functools
import os
import sys
import tempfile
from pathlib import Path

CACHE = "AFGAN_CACHE"


def expanded(path: str | os.PathLike) -> str:
    """The path with ~, ~user and variables such as $HOME filled in, without file://.

    Raises ValueError for an empty path, and for ~user if there is no such user.
    """
    written = os.fspath(path)
    text = os.path.expandvars(written.removeprefix("file://"))
    if not text:
        raise ValueError("is empty: name one, or leave it out")
    found = os.path.expanduser(text)
    if found.startswith("~") and found == text:
        user = text.partition("/")[0]
        raise ValueError(
            f"cannot be: {user} has no home folder; write the path in full, or ./{text}"
        )
    return found


def is_url(path: str | os.PathLike) -> bool:
    """Whether an expanded path is in a bucket, such as gs://bucket/folder."""
    return "://" in os.fspath(path)


def named(path: str | os.PathLike) -> str:
    """`expanded`, whose errors name the path."""
    try:
        return expanded(path)
    except ValueError as error:
        raise ValueError(f"the path {os.fspath(path)!r} {error}") from None


def local(path: str | os.PathLike) -> Path:
    """The expanded path, on this machine. Raises ValueError as `named`."""
    return Path(named(path))


def cache() -> Path | None:
    """The folder that all runs share: AFGAN_CACHE, or one of the user's; None: none.

    What it already holds can be read even if nothing can be written there.
    """
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return local(os.environ.get(CACHE) or os.path.join(home, "afgan_jax"))
    except ValueError:
        tell(f"no cache: there is no home folder; {CACHE}=FOLDER names another place")
        return None


def is_open(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made; a line says if not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Rights alone do not tell: a superuser has them on read-only disks as well.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        tell(f"no cache in {folder}: {error.strerror}")
        return False
    return True


def spare_matplotlib() -> None:
    """Gives matplotlib a temporary folder where it would look for a home in vain."""
    home = os.path.expanduser("~")
    if "MPLCONFIGDIR" not in os.environ and not os.access(home, os.W_OK):
        os.environ["MPLCONFIGDIR"] = str(temporary())


def temporary() -> Path:
    """A folder that goes when this process ends."""
    return Path(_temporary().name)


def exit_at_once(code: int) -> None:
    """Ends this process, which waits for no thread; the temporary folder goes."""
    if _temporary.cache_info().currsize:
        _temporary().cleanup()
    os._exit(code)


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="afgan_jax-", ignore_cleanup_errors=True)


@functools.cache
def tell(text: str) -> None:
    """Once for each text."""
    print(text, file=sys.stderr)
