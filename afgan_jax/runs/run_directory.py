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

from afgan_jax.runs import (
    atomic,
    checkpoints,
    checksums,
    held,
    json_lines,
    location,
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
    "samples.squares",
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
    """An open run directory, with its `config` and `checkpoints`.

    path: the folder of its small files on this machine; location: where they belong.
    """

    def __init__(
        self,
        place: location.Location,
        config: dict,
        saved: checkpoints.Checkpoints | None = None,
        holding: held.Held | None = None,
    ):
        self._holding, self._saved = holding, saved
        self.location, self.path, self.config = place, place.folder, config

    @property
    def checkpoints(self) -> checkpoints.Checkpoints:
        """The checkpoints; a run opened for reading opens them when first used."""
        if self._saved is None:
            self._saved = checkpoints.Checkpoints(
                self.location.checkpoints,
                read_only=True,
                best=self.path / "checkpoints" / "best.json",
            )
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
        place = cls.check(workdir, config, schema)
        new = config_lib.to_json(config)
        with contextlib.ExitStack() as stack:
            holding = stack.enter_context(held.Held(place, new))
            place = holding.location
            differing = _compare_configs(place, config, schema)
            if differing and jax.process_index() == 0:
                _log.warning("settings changed for this run: %s", ", ".join(differing))
                atomic.write(place.folder / "config.json", new)
            saved = checkpoints.Checkpoints(
                place.checkpoints,
                retention=retention,
                best=place.folder / "checkpoints" / "best.json",
                check=holding.check,
                before_commit=holding.flush,
            )
            stack.pop_all()
            return cls(place, config, saved, holding)

    @staticmethod
    def check(
        workdir: str | Path,
        config: config_lib.Config,
        schema: config_lib.Schema | None = None,
    ) -> location.Location:
        """The place of workdir; raises as `create_or_open` does, and writes nothing."""
        place = location.of(workdir)
        if place.folder.exists() and not place.folder.is_dir():
            raise ValueError(f"{place} is a file; name a new or empty folder")
        if place.exists() and not place.is_empty():
            place.check_any_complete()
            _compare_configs(place, config, schema)
        return place

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """The run for reading, also while another process trains it.

        Raises ValueError if path is not a run.
        """
        place = location.of(path)
        return cls(place, _read_config(place))

    @staticmethod
    def has_begun(workdir: str | Path) -> bool:
        """Whether the run in workdir has a checkpoint."""
        return bool(location.of(workdir).steps())

    def latest_step(self) -> int | None:
        """The newest step that is completely saved; None if there is none."""
        return max(self.steps(), default=None)

    def steps(self) -> list[int]:
        """The steps that are completely saved, in ascending order."""
        return self.location.steps()

    def check_has(self, step: int | None) -> None:
        """Raises ValueError unless the step, None: any, is completely saved."""
        self.location.check_has(step)

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
            file, bucket = f"metric-{name}.jsonl", self.location.bucket
            if bucket is not None and self._holding is None:
                bucket.append(file, json_lines.encoded(line))
            else:
                json_lines.append(self.path / file, line)

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

    def upload(self) -> None:
        """Copies what changed to the bucket, if it is in one, in the background.

        Raises errors.Stopped if another process has taken the run over.
        """
        if self._holding is not None:
            self._holding.upload()

    def close(self) -> None:
        """Waits for the save in progress; raises its failure."""
        try:
            if self._saved is not None:
                self._saved.close()
        finally:
            if self._holding is not None:
                self._holding.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, *_) -> None:
        # A failure of the last save must not replace the error that ends the block.
        try:
            self.close()
        except Exception:
            if kind is None:
                raise


def _read_config(place: location.Location) -> config_lib.Config:
    if not place.exists():
        kind = "folder" if place.bucket is None else "files"
        raise ValueError(f"there is no run in {place}: no such {kind}")
    file = place.folder / "config.json"
    if not file.is_file():
        raise ValueError(
            f"{place} is not a run (it has no config.json); name a new or empty folder"
        )
    return config_lib.from_json(atomic.read(file), f"{place}/config.json")


def _compare_configs(
    place: location.Location,
    config: config_lib.Config,
    schema: config_lib.Schema | None,
) -> list[str]:
    """The free settings that differ; raises ValueError if others do."""
    old = _read_config(place)
    if not place.steps():
        return config_lib.difference(old, config)  # nothing was trained yet
    if schema is not None:
        old = config_lib.check_saved(old, schema, f"{place}/config.json")
    differing = config_lib.difference(old, config)
    fixed = [line for line in differing if line.partition(":")[0] not in FREE_SETTINGS]
    if fixed:
        raise ValueError(
            f"{place} is a run of another config: {', '.join(fixed)}; use another"
            " workdir or restore these settings"
        )
    return differing
