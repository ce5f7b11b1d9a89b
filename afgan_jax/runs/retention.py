"""Which checkpoints stay: the newest, one every so often, the best by each metric."""

import dataclasses
import json
import math
from collections.abc import Sequence, Set
from pathlib import Path

from afgan_jax.runs import atomic


@dataclasses.dataclass(frozen=True)
class Retention:
    """The `newest` checkpoints stay; from the oldest on also some `every` steps."""

    newest: int
    every: int | None = None  # None: no others


def make_retention(
    batch_size: int, *, keep: int = 3, keep_every_kimg: float | None = None
) -> Retention:
    """Of the newest `keep` checkpoints, and of one every so many kimg.

    Raises ValueError for settings that cannot be meant.
    """
    if keep < 1:
        raise ValueError(f"checkpoints.keep={keep} must be at least 1")
    if keep_every_kimg is None:
        return Retention(keep)
    if not 0 < keep_every_kimg < math.inf:
        raise ValueError(
            f"checkpoints.keep_every_kimg={keep_every_kimg} must be above 0 and finite,"
            " or none"
        )
    return Retention(keep, math.ceil(keep_every_kimg * 1000 / batch_size))


class Best:
    """The best step by each metric, in a file {metric: {"step", "value"}}.

    As one of Orbax's policies it preserves these steps.
    """

    def __init__(self, file: Path):
        """Raises ValueError if the file is not such a record."""
        self._file = file
        self._best: dict[str, dict] = {}
        if file.exists():
            self._best = _read(file)

    def steps(self) -> dict[str, int]:
        """Returns the best step by metric."""
        return {metric: entry["step"] for metric, entry in self._best.items()}

    def record(self, step: int, metric: str, value: float, higher: bool) -> bool:
        """Returns whether the step is now the best; NaN and infinities never are."""
        old = self._best.get(metric)
        sign = -1 if higher else 1
        if not math.isfinite(value):
            return False
        if old is not None and sign * old["value"] <= sign * value:
            return False
        self._best[metric] = {"step": step, "value": float(value)}
        return True

    def keep_only(self, steps: Set[int]) -> bool:
        """Forgets all other steps; returns whether there were any."""
        kept = {m: entry for m, entry in self._best.items() if entry["step"] in steps}
        changed = kept != self._best
        self._best = kept
        return changed

    def write(self) -> None:
        """Writes the file."""
        atomic.write(self._file, json.dumps(self._best, sort_keys=True, indent=2))

    def should_preserve(self, checkpoints: Sequence, *, context) -> list[bool]:
        """Says so of each checkpoint; called by Orbax."""
        best = set(self.steps().values())
        return [checkpoint.step in best for checkpoint in checkpoints]


def _read(file: Path) -> dict[str, dict]:
    try:
        best = json.loads(file.read_text())
        return {
            str(metric): {"step": int(entry["step"]), "value": float(entry["value"])}
            for metric, entry in best.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} is damaged ({type(error).__name__}: {error}); delete it to go on"
            " without knowing which checkpoints are the best"
        ) from None
