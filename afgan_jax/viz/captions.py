"""The command that draws, which figures of the command line name below themselves."""

import contextlib
import contextvars
import textwrap
from collections.abc import Iterator

_command = contextvars.ContextVar("command", default="")


@contextlib.contextmanager
def of(command: str) -> Iterator[None]:
    """What is drawn meanwhile has this command as its caption."""
    token = _command.set(command)
    try:
        yield
    finally:
        _command.reset(token)


def lines(letters: int) -> list[str]:
    """The caption of now, in lines of so many letters; none outside of a command."""
    return textwrap.wrap(_command.get(), letters, break_on_hyphens=False)
