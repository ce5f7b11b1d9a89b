"""The one kind of error that names a setting, and what raises it often."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any


class SettingError(ValueError):
    """`name`=`value`, and `why` it cannot be: one sentence that ends with the fix.

    name is an argument of a function of the library, such as "samples", or a setting of
    a config, such as "losses.r1_gamma". The command line says which flag that is.
    """

    def __init__(self, name: str, value: Any, why: str):
        super().__init__(name, value, why)
        self.name, self.value, self.why = name, value, why

    def __str__(self) -> str:
        return f"{self.name}={self.value!r} {self.why}"


def check_known(name: str, value: Any, known: Iterable[str]) -> None:
    """Raises SettingError unless the value is one of those known."""
    if value not in tuple(known):
        raise SettingError(name, value, f"is unknown: use one of {', '.join(known)}")


@contextlib.contextmanager
def naming(section: str) -> Iterator[None]:
    """Puts "section." before the setting that an error names, or begins with."""
    try:
        yield
    except SettingError as error:
        name = f"{section}.{error.name}"
        raise SettingError(name, error.value, error.why) from error
    except ValueError as error:
        key, equals, _ = str(error).partition("=")
        if not (equals and key.isidentifier()):
            raise
        raise ValueError(f"{section}.{error}") from error
