"""JSON that is checked when it is read.

A sealed object has one key more, "crc32", of the others: a changed byte is found. By
hand, remove that key to change the others.
"""

import json
import zlib
from typing import Any

SEAL = "crc32"


def parse(text: str | bytes, where: object) -> Any:
    """The value; ValueError, in one line that names `where`, for text that is no JSON.

    Of a sealed object, the object without its seal; ValueError if it changed.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{where} is not valid JSON ({reason})") from None
    if not isinstance(value, dict) or SEAL not in value:
        return value
    content = {name: inner for name, inner in value.items() if name != SEAL}
    if value[SEAL] != _sum(content):
        raise ValueError(
            f"{where} has changed since it was written (its {SEAL} is not that of its"
            f" content); if you changed it, remove its line {SEAL!r}"
        )
    return content


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """The object with its seal; it holds nothing but what JSON gives back."""
    return content | {SEAL: _sum(content)}


def _sum(content: dict) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
