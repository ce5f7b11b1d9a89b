"""A run directory: the files of a training run, from which it can be resumed.

config.json      every setting of the run
checkpoints/     see checkpoints.py
classes.json     names of the classes, if the set has them
sets.json        the image sets it was trained on
stats.jsonl      one JSON object a tick, with "nimg" and "timestamp"
metric-*.jsonl   one JSON object a measurement of a metric
Training writes further files (events, reals.png, fakes*.png). In a run of several
processes all call these functions, and process 0 writes the small files.
"""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from afgan_jax import locks, places
from afgan_jax.runs import (
    atomic,
    checkpoints,
    checksums,
    json_lines,
    orbax_path,
    step_folder,
)
from afgan_jax.runs import config as config_lib
from afgan_jax.runs import retention as retentions

# Settings that may change when a run is resumed: its length, how often it reports, the
# place of the same data, and what does not change the results.
FREE_SETTINGS = (
    "data.path",
    "generator.synthesis.remat",
    "discriminator.remat",
    "updates.implementation",
    "samples.batch",
    "metrics.names",
    "metrics.batch",
    "train.total_kimg",
    "train.tick_kimg",
    "train.checkpoint_ticks",
    "train.image_ticks",
    "checkpoints.keep",
    "checkpoints.keep_every_kimg",
    "checkpoints.minutes",
)

_log = logging.getLogger(__name__)


class Run:
    """An open run directory, with its `path`, `config` and `checkpoints`."""

    def __init__(
        self,
        path: Path,
        config: dict,
        saved: checkpoints.Checkpoints | None = None,
        lock=None,
    ):
        self._lock = lock
        self._saved = saved
        self.path = path
        self.config = config

    @property
    def checkpoints(self) -> checkpoints.Checkpoints:
        """The checkpoints; a run opened for reading opens them when first used."""
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
        """The run in workdir for training: a new one, or an existing one to resume.

        schema: has the defaults of settings that are missing in the config of an older
        run. retention: which checkpoints are kept, None: all.
        Raises ValueError if workdir is no run, or has a checkpoint and a config that
        differs in more than FREE_SETTINGS.
        """
        path = cls.check(workdir, config, schema)
        with contextlib.ExitStack() as stack:
            is_ours = True
            if jax.process_index() == 0:
                path.mkdir(parents=True, exist_ok=True)
                try:
                    stack.enter_context(locks.Lock(path / ".lock"))
                except BlockingIOError:
                    is_ours = False
                if is_ours and _is_empty(path):
                    atomic.write(path / "config.json", config_lib.to_json(config))
            if jax.process_count() > 1:  # the others wait here until it is written
                is_ours = bool(multihost_utils.broadcast_one_to_all(np.array(is_ours)))
            if not is_ours:
                raise ValueError(f"another process is training the run in {path}")
            differing = _compare_configs(path, config, schema)
            if differing and jax.process_index() == 0:
                _log.warning("settings changed for this run: %s", ", ".join(differing))
                atomic.write(path / "config.json", config_lib.to_json(config))
            saved = checkpoints.Checkpoints(path / "checkpoints", retention=retention)
            return cls(path, config, saved, stack.pop_all())

    @staticmethod
    def check(
        workdir: str | Path,
        config: config_lib.Config,
        schema: config_lib.Schema | None = None,
    ) -> Path:
        """The path of workdir; raises as `create_or_open` does, and writes nothing."""
        path = _local(workdir)
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is a file; name a new or empty folder")
        if path.is_dir() and not _is_empty(path):
            step_folder.check_any_complete(path / "checkpoints")
            _compare_configs(path, config, schema)
        return path

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """The run for reading, also while another process trains it.

        Raises ValueError if path is not a run.
        """
        path = _local(path)
        return cls(path, _read_config(path))

    @staticmethod
    def has_begun(workdir: str | Path) -> bool:
        """Whether the run in workdir has a checkpoint."""
        return bool(step_folder.complete(_local(workdir) / "checkpoints"))

    def latest_step(self) -> int | None:
        """The newest step that is completely saved; None if there is none."""
        return max(self.steps(), default=None)

    def steps(self) -> list[int]:
        """The steps that are completely saved, in ascending order."""
        return step_folder.complete(self.path / "checkpoints")

    def check_has(self, step: int | None) -> None:
        """Raises ValueError unless the step, None: any, is completely saved."""
        step_folder.check_has(self.path / "checkpoints", step)

    def save(self, step: int, tree: Any) -> None:
        """Saves a pytree of arrays in the background; see Checkpoints.save."""
        self.checkpoints.save(step, tree)

    def restore(
        self, abstract: Any, step: int | None = None, *, partial: bool = False
    ) -> tuple[int, Any]:
        """(step, tree) as Checkpoints.restore returns them, with ValueError alone."""
        try:
            return self.checkpoints.restore(abstract, step, partial=partial)
        except checksums.Mismatch as error:
            raise ValueError(f"{error}: another version of the code made it") from None

    def append_stats(self, stats: Mapping[str, Any]) -> None:
        """Adds one line to stats.jsonl; a value that is not finite becomes null."""
        if jax.process_index() == 0:
            json_lines.append(self.path / "stats.jsonl", stats)

    def append_metric(
        self, name: str, results: Mapping[str, float], *, step: int, seconds: float
    ) -> None:
        """Adds one line to metric-NAME.jsonl: a metric's results at a checkpoint."""
        line = {
            "metric": name,
            "results": results,
            "step": step,
            "total_time": seconds,
            "num_devices": jax.device_count(),
        }
        if jax.process_index() == 0:
            json_lines.append(self.path / f"metric-{name}.jsonl", line)

    def truncate_stats(self, nimg: int) -> int:
        """Removes the lines beyond nimg, and any half-written one, to resume there.

        Returns the number of lines that remain, to every process.
        """
        kept = 0
        if jax.process_index() == 0:
            kept = json_lines.truncate(self.path / "stats.jsonl", nimg)
        if jax.process_count() > 1:
            return int(multihost_utils.broadcast_one_to_all(np.int32(kept)))
        return kept

    def close(self) -> None:
        """Waits for the save in progress; raises its failure."""
        try:
            if self._saved is not None:
                self._saved.close()
        finally:
            if self._lock is not None:
                self._lock.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, *_) -> None:
        # A failure of the last save must not replace the error that ends the block.
        try:
            self.close()
        except Exception:
            if kind is None:
                raise


def _local(path: str | Path) -> Path:
    text = places.named(path)
    if "://" in text:
        raise ValueError(f"{path} is not a folder on this machine; mount it or copy it")
    path = Path(text).absolute()
    orbax_path.check(path)
    return path


def _is_empty(path: Path) -> bool:
    """Whether the folder has no files but hidden ones."""
    return all(entry.name.startswith(".") for entry in path.iterdir())


def _read_config(path: Path) -> config_lib.Config:
    if not path.is_dir():
        raise ValueError(f"there is no run in {path}: no such folder")
    file = path / "config.json"
    if not file.is_file():
        raise ValueError(
            f"{path} is not a run (it has no config.json); name a new or empty folder"
        )
    return config_lib.from_json(atomic.read(file), file)


def _compare_configs(
    path: Path, config: config_lib.Config, schema: config_lib.Schema | None
) -> list[str]:
    """The free settings that differ; raises ValueError if others do."""
    old = _read_config(path)
    if not step_folder.complete(path / "checkpoints"):
        return config_lib.difference(old, config)  # nothing was trained yet
    if schema is not None:
        old = config_lib.check_saved(old, schema, f"{path}/config.json")
    differing = config_lib.difference(old, config)
    fixed = [line for line in differing if line.partition(":")[0] not in FREE_SETTINGS]
    if fixed:
        raise ValueError(
            f"{path} is a run of another config: {', '.join(fixed)}; use another"
            " workdir or restore these settings"
        )
    return differing
