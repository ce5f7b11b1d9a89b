"""Which rows of ws go to which layers, by number or by name."""

import re
from collections.abc import Sequence

from afgan_jax import errors
from afgan_jax.model import Model


def names(model: Model) -> tuple[str, ...]:
    """What each row of ws is for: "input", and names of layers."""
    return tuple(layers[0] for layers in model.network.synthesis.layers_of_ws)


def chosen(model: Model, text: str | Sequence[int] | None) -> list[int]:
    """The rows that "0-3,L5_74,L7-L9" names, in order; None: all.

    A name may be cut short where it stays one layer's. Raises SettingError.
    """
    known = names(model)
    if text is None:
        return list(range(len(known)))
    if not isinstance(text, str):
        text = ",".join(map(str, text))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = [
            _row(known, word.strip(), text)
            for word in ([first, last] if dash else [first])
        ]
        if ends[-1] < ends[0]:
            raise errors.SettingError("layers", text, f"falls at {part.strip()!r}")
        found |= set(range(ends[0], ends[-1] + 1))
    return sorted(found)


def _row(known: Sequence[str], word: str, text: str) -> int:
    if word.isdecimal() and int(word) < len(known):
        return int(word)
    same = [i for i, name in enumerate(known) if name == word]
    alike = [
        i for i, name in enumerate(known) if re.match(re.escape(word) + r"(?!\d)", name)
    ]
    matches = same or (alike if word else [])
    if len(matches) != 1:
        what = "is several" if matches else "is unknown"
        use = f"use 0 to {len(known) - 1}, or {', '.join(known)}"
        why = f"at {word!r}, which {what}: {use}"
        raise errors.SettingError("layers", text, why)
    return matches[0]
