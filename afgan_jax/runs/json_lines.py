"""Files of one JSON object a line, to which training adds."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afgan_jax import errors
from afgan_jax.runs import atomic


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds the line as `encoded`, all of it, or raises OSError."""
    left = encoded(line)
    with errors.accessing(path), open(path, "ab", buffering=0) as file:
        start = file.tell()
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(start)
            raise


def encoded(line: Mapping[str, Any]) -> bytes:
    """The line with a "timestamp"; a value that is not finite becomes null."""
    return json.dumps(_value(line) | {"timestamp": time.time()}).encode() + b"\n"


def truncate(path: Path, nimg: int) -> int:
    """Removes lines whose "nimg" is larger, and damaged ones; returns how many stay."""
    if not path.exists():
        return 0
    lines = atomic.read(path).splitlines(keepends=True)
    kept = [line for line in lines if _nimg_of(line) <= nimg]
    if kept != lines:
        atomic.write(path, b"".join(kept))
    return len(kept)


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, str | int | list | tuple) or value is None:
        return value
    return float(value) if math.isfinite(value) else None


def _nimg_of(line: bytes) -> float:
    try:
        return json.loads(line)["nimg"]
    except (ValueError, KeyError, TypeError):
        return math.inf
