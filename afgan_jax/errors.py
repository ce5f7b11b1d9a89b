"""The one kind of error that names a setting."""

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
