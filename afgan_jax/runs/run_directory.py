"""A run directory: all that a training run leaves behind, and what resumes it.

config.json      every setting of the run
checkpoints/     see checkpoints.py
classes.json     names of the classes, where the set has them
stats.jsonl      one JSON object a tick, with "nimg" and "timestamp"
metric-*.jsonl   one JSON object each time that a metric was measured
Further files (events, reals.png, fakes*.png) belong to training. In a run of several
processes all call these functions and process 0 writes the small files.
"""

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from afgan_jax.runs import atomic, checkpoints, checksums, locks
from afgan_jax.runs import config as config_lib
from afgan_jax.runs import retention as retentions

# Settings that may change from one start of a run to the next: how long it goes on,
# how often it reports, where the same data is, what computes the same results.
FREE_SETTINGS = (
    "data.path",
    "generator.synthesis.remat",
    "discriminator.remat",
    "updates.implementation",
    "pictures.batch",
    "metrics.names",
    "metrics.batch",
    "train.total_kimg",
    "train.tick_kimg",
    "train.checkpoint_ticks",
    "train.image_ticks",
    "checkpoints.keep",
    "checkpoints.keep_every_kimg",
)

CLASSES = "classes.json"  # names of classes, where the set has them

_log = logging.getLogger(__name__)


class Run:
    """An open run directory; `path`, `config` and `checkpoints` are its parts."""

    def __init__(
        self,
        path: Path,
        config: dict,
        saved: checkpoints.Checkpoints | None = None,
        lock=None,
    ):
        self._lock = lock  # an open file, locked until it is closed
        self._saved = saved
        self.path = path
        self.config = config

    @property
    def checkpoints(self) -> checkpoints.Checkpoints:
        """The checkpoints; of a run opened for reading, opened when first asked for."""
        if self._saved is None:
            folder = self.path / "checkpoints"
            self._saved = checkpoints.Checkpoints(folder, read_only=True)
        return self._saved

    @classmethod
    def create_or_open(
        cls,
        workdir: str | Path,
        config: config_lib.Config,
        schema: config_lib.Schema | None = None,
        *,
        retention: retentions.Retention | None = None,
    ) -> "Run":
        """Returns the run in workdir, for training: a new one or one to be resumed.

        schema: gives settings their defaults that a run of an older version does not
        state. retention: which checkpoints stay, None: all.
        Raises ValueError if workdir is a run of another config (FREE_SETTINGS may
        differ, all may before the first checkpoint) or a folder of something else.
        """
        cls.check(workdir, config, schema)
        path = _local(workdir)
        lock = None
        if jax.process_index() == 0:
            path.mkdir(parents=True, exist_ok=True)
            lock = locks.take(path)
            is_new = all(entry.name.startswith(".") for entry in path.iterdir())
            if lock is not None and is_new:
                atomic.write(path / "config.json", config_lib.to_json(config))
        is_ours = lock is not None
        if jax.process_count() > 1:  # the others hear of it, and that the file is there
            is_ours = bool(multihost_utils.broadcast_one_to_all(np.array(is_ours)))
        if not is_ours:
            raise ValueError(f"another process is training the run in {path}")
        differing = _compare_configs(path, config, schema)
        if differing and jax.process_index() == 0:
            _log.warning("settings changed for this run: %s", ", ".join(differing))
            atomic.write(path / "config.json", config_lib.to_json(config))
        saved = checkpoints.Checkpoints(path / "checkpoints", retention=retention)
        return cls(path, config, saved, lock)

    @staticmethod
    def check(
        workdir: str | Path,
        config: config_lib.Config,
        schema: config_lib.Schema | None = None,
    ) -> Path:
        """Returns the path of workdir, in which nothing is changed.

        Raises ValueError as `create_or_open` would.
        """
        path = _local(workdir)
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is a file; name a new or empty folder")
        if path.is_dir() and not all(e.name.startswith(".") for e in path.iterdir()):
            _compare_configs(path, config, schema)
        return path

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Returns the run for reading, also while another process trains it.

        Raises ValueError if path is not a run.
        """
        path = _local(path)
        return cls(path, _read_config(path))

    @staticmethod
    def has_begun(workdir: str | Path) -> bool:
        """Whether the run in workdir has a checkpoint to go on from."""
        return bool(checkpoints.saved_steps(_local(workdir) / "checkpoints"))

    def latest_step(self) -> int | None:
        """Returns the newest completely saved step; None if there is none."""
        return max(self.steps(), default=None)

    def steps(self) -> list[int]:
        """Returns the steps that are completely saved, in ascending order."""
        return checkpoints.saved_steps(self.path / "checkpoints")

    def save(self, step: int, tree: Any) -> None:
        """Saves a pytree of arrays in the background; see Checkpoints.save."""
        self.checkpoints.save(step, tree)

    def record_metric(self, step: int, metric: str, value: float, **options) -> bool:
        """Keeps the best checkpoint by a metric; see Checkpoints.record_metric."""
        return self.checkpoints.record_metric(step, metric, value, **options)

    def restore(
        self,
        abstract: Any,
        step: int | None = None,
        *,
        partial: bool = False,
        config: config_lib.Config | None = None,
    ) -> tuple[int, Any]:
        """Returns (step, tree) of a checkpoint, by default the newest undamaged one.

        config: the settings `abstract` was made from, to name what differs.
        See Checkpoints.restore.
        """
        try:
            return self.checkpoints.restore(abstract, step, partial=partial)
        except checksums.Mismatch as error:
            differing = config_lib.difference(self.config, config or self.config)
            cause = f"settings that differ: {', '.join(differing)}"
            if not differing:
                cause = "the settings agree, so another version of the code made it"
            raise ValueError(f"{error}; {cause}") from None

    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes that the run was trained on, None if they have none."""
        file = self.path / CLASSES
        return tuple(json.loads(file.read_text())) if file.is_file() else None

    def append_stats(self, stats: Mapping[str, Any]) -> None:
        """Adds one line to stats.jsonl; a value that is not finite becomes null."""
        if jax.process_index() == 0:
            line = {key: _json_value(value) for key, value in stats.items()}
            with open(self.path / "stats.jsonl", "a") as file:
                file.write(json.dumps(line | {"timestamp": time.time()}) + "\n")

    def append_metric(
        self, name: str, results: Mapping[str, float], *, step: int, seconds: float
    ) -> None:
        """Adds one line to metric-NAME.jsonl: what a metric found at a checkpoint."""
        if jax.process_index() == 0:
            line = {
                "metric": name,
                "results": _json_value(results),
                "step": step,
                "total_time": seconds,
                "num_devices": jax.device_count(),
                "timestamp": time.time(),
            }
            with open(self.path / f"metric-{name}.jsonl", "a") as file:
                file.write(json.dumps(line) + "\n")

    def truncate_stats(self, nimg: int) -> int:
        """Drops the lines beyond nimg, and any half-written one, to resume there.

        Returns how many lines remain, the same number to every process.
        """
        kept = []
        path = self.path / "stats.jsonl"
        if jax.process_index() == 0 and path.exists():
            lines = path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if _nimg_of(line) <= nimg]
            if kept != lines:
                atomic.write(path, "".join(kept))
        if jax.process_count() > 1:
            return int(multihost_utils.broadcast_one_to_all(np.int32(len(kept))))
        return len(kept)

    def close(self) -> None:
        """Waits for the save in progress; raises what went wrong in it."""
        try:
            if self._saved is not None:
                self._saved.close()
        finally:
            if self._lock is not None:
                self._lock.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, *_) -> None:
        # An error on its way out must not be replaced by one of the last save.
        try:
            self.close()
        except Exception:
            if kind is None:
                raise


def _local(path: str | Path) -> Path:
    if "://" in str(path):
        raise ValueError(f"{path} is not a folder on this machine; mount it or copy it")
    return Path(path).expanduser().absolute()


def _read_config(path: Path) -> config_lib.Config:
    if not path.is_dir():
        raise ValueError(f"there is no run in {path}: no such folder")
    file = path / "config.json"
    if not file.is_file():
        raise ValueError(
            f"{path} is not a run (it has no config.json); name a new or empty folder"
        )
    try:
        return config_lib.from_json(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON ({error})") from None


def _compare_configs(
    path: Path, config: config_lib.Config, schema: config_lib.Schema | None
) -> list[str]:
    """Returns the free settings that differ; raises ValueError if others do."""
    old = _read_config(path)
    if not checkpoints.saved_steps(path / "checkpoints"):
        return config_lib.difference(old, config)  # nothing was trained with the old
    if schema is not None:
        old = config_lib.check_saved(old, schema, f"{path}/config.json")
    differing = config_lib.difference(old, config)
    fixed = [line for line in differing if line.partition(":")[0] not in FREE_SETTINGS]
    if fixed:
        raise ValueError(
            f"{path} belongs to a run of another config: {', '.join(fixed)}; name "
            "another workdir or restore these settings"
        )
    return differing


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, str | int | list | tuple) or value is None:
        return value
    return float(value) if math.isfinite(value) else None


def _nimg_of(line: str) -> float:
    try:
        return json.loads(line)["nimg"]
    except (ValueError, KeyError, TypeError):
        return math.inf
