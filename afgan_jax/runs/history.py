"""What a run has told so far: statistics, results of metrics, pictures."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from afgan_jax.runs import atomic, config, location, measurements, mirror, run_directory

PICTURES = re.compile(r"fakes(_init|\d+)\.png")
STATS = re.compile(r"stats\.jsonl")


@dataclasses.dataclass(frozen=True)
class History:
    """stats: the lines of stats.jsonl. metrics: {name: points (kimg, value)}.

    pictures: names of samples of one set of latents, by kimg; None: of no training.
    """

    place: location.Location
    config: config.Config
    stats: list[dict[str, Any]]
    metrics: dict[str, list[tuple[float, float]]]
    pictures: dict[int | None, str]

    def picture(self, name: str) -> bytes:
        """The PNG of a picture."""
        if self.place.bucket is None:
            return atomic.read(self.place.folder / name)
        return self.place.bucket.read(name)[0]


def of(path: str | Path) -> History:
    """The history of a run, also while another process trains it.

    Raises ValueError if path is not a run.
    """
    with run_directory.Run.open(path) as run:
        place, settings = run.location, run.config
    if place.bucket is None:
        names = [entry.name for entry in place.folder.iterdir()]
        found = mirror.of_folder(place.folder, STATS)
    else:
        names = place.bucket.names()
        found = mirror.read(place.bucket, STATS)[0]
    lines = b"".join(found.values()).splitlines(keepends=True)
    batch = config.value(settings, "updates.batch_size")
    return History(
        place,
        settings,
        [json.loads(line) for line in lines if line.endswith(b"\n")],
        {
            name: [
                (step * batch / 1000, next(iter(by_step[step].values())))
                for step in sorted(by_step)
            ]
            for name, by_step in measurements.of_run(place.folder).items()
        },
        {
            None if said[1] == "_init" else int(said[1]): name
            for name in names
            if (said := PICTURES.fullmatch(name))
        },
    )
