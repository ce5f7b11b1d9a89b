"""Which checkpoints are kept: the newest, some at intervals, the best by metric.

And how much time may pass between two.
"""

import dataclasses
import math
import types
from collections.abc import Sequence, Set
from pathlib import Path

from orbax.checkpoint.checkpoint_managers import preservation_policy

from afgan_jax import errors, json_files
from afgan_jax.runs import atomic


@dataclasses.dataclass(frozen=True)
class Retention:
    """Keep the `newest` checkpoints, and one `every` so many steps (None: no more).

    minutes: of training without a checkpoint after which one is due; None: any.
    """

    newest: int
    every: int | None = None
    minutes: float | None = None


def make_retention(
    batch_size: int,
    *,
    keep: int = 3,
    keep_every_kimg: float | None = None,
    minutes: float | None = 30.0,
) -> Retention:
    """Keeps the newest `keep` checkpoints, and one every `keep_every_kimg`.

    After so many `minutes` without a checkpoint one is saved; None: only at ticks.

    Raises SettingError for a value out of range.
    """
    if keep < 1:
        raise errors.SettingError("checkpoints.keep", keep, "must be at least 1")
    every = None
    for key, value in {"keep_every_kimg": keep_every_kimg, "minutes": minutes}.items():
        if value is not None and not 0 < value < math.inf:
            why = "must be above 0 and finite, or none"
            raise errors.SettingError(f"checkpoints.{key}", value, why)
    if keep_every_kimg is not None:
        every = math.ceil(keep_every_kimg * 1000 / batch_size)
    return Retention(keep, every, minutes)


class Best:
    """The best step by each metric, in a file {metric: {"step", "value"}}.

    It is one of Orbax's policies, and preserves these steps.
    """

    def __init__(self, file: Path):
        """Raises ValueError if the file is damaged."""
        self._file = file
        self._best: dict[str, dict] = _read(file) if file.exists() else {}

    def steps(self) -> dict[str, int]:
        """The best step by metric."""
        return {metric: entry["step"] for metric, entry in self._best.items()}

    def record(self, step: int, metric: str, value: float, higher: bool) -> bool:
        """Whether the step is now the best; NaN and infinities never are."""
        old = self._best.get(metric)
        sign = -1 if higher else 1
        if not math.isfinite(value):
            return False
        if old is not None and sign * old["value"] <= sign * value:
            return False
        self._best[metric] = {"step": step, "value": float(value)}
        return True

    def keep_only(self, steps: Set[int]) -> bool:
        """Forgets all other steps; returns whether any were recorded."""
        kept = {m: entry for m, entry in self._best.items() if entry["step"] in steps}
        changed = kept != self._best
        self._best = kept
        return changed

    def write(self) -> None:
        """Writes the file."""
        atomic.write_json(self._file, json_files.seal(self._best))

    def should_preserve(self, checkpoints: Sequence, *, context) -> list[bool]:
        """Whether to keep each checkpoint; called by Orbax."""
        best = set(self.steps().values())
        return [checkpoint.step in best for checkpoint in checkpoints]


def policy(retention: Retention | None, *more):
    """Orbax's policy that keeps what this keeps, None: all, and what `more` keep."""
    if retention is None:
        return preservation_policy.PreserveAll()
    policies = [preservation_policy.LatestN(retention.newest), *more]
    if retention.every is not None:
        policies.append(
            preservation_policy.EveryNSteps(retention.every, exact_interval=False)
        )
    return preservation_policy.AnyPreservationPolicy(policies)


def kept(steps: Sequence[int], retention: Retention) -> list[int]:
    """Those of the steps, in ascending order, that it keeps."""
    found = [types.SimpleNamespace(step=step) for step in steps]
    keeps = policy(retention).should_preserve(found, context=None)
    return [step for step, is_kept in zip(steps, keeps, strict=True) if is_kept]


def _read(file: Path) -> dict[str, dict]:
    try:
        best = json_files.parse(atomic.read(file), file)
        return {
            str(metric): {"step": int(entry["step"]), "value": float(entry["value"])}
            for metric, entry in best.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} is damaged ({type(error).__name__}: {error}); delete it to"
            " continue without a record of the best checkpoints"
        ) from None
