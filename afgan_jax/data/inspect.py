"""What an archive contains, and which of its faults harm training.

Every image is decoded once, its size and mode counted and its pixels compared with all
others. An evenly distributed sample is checked for defects (see defects).
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import os
from typing import NamedTuple

import numpy as np
import tqdm

from afgan_jax.data import defects, formats, label_files, labels, left_out, paths
from afgan_jax.data.archive import CHANNELS
from afgan_jax.data.files import BrokenImage, Files, attempt

SAMPLE = 2000  # images checked for defects: gives shares to about a percent


@dataclasses.dataclass(frozen=True)
class Findings:
    """Counts and names.

    flagged: images by defect; checked: how many images could be checked for it.
    duplicates: groups of images of equal pixels. classes: images by class; None: no
    classes. label_dim: the length of label vectors. could_be_classes: the folders
    of the images. left_out: what else is there, in words.
    """

    path: str
    images: int
    sizes: collections.Counter
    modes: collections.Counter
    broken: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]
    flagged: dict[str, tuple[str, ...]]
    checked: dict[str, int]
    classes: collections.Counter | None
    class_names: tuple[str, ...] | None
    label_dim: int
    label_fault: str | None
    could_be_classes: bool
    left_out: tuple[str, ...]


class _View(NamedTuple):
    size: tuple[int, int]
    mode: str
    digest: bytes
    verdicts: dict[str, bool | None] | None


def inspect(
    path: str | os.PathLike, *, sample: int = SAMPLE, workers: int | None = None
) -> Findings:
    """Findings on the archive at `path`; ValueError if it is none or has no images.

    workers: threads that decode; None: one for each core.
    """
    files = Files(paths.resolve(path))
    names = left_out.images_of(files)
    indices = np.linspace(0, len(names) - 1, min(len(names), sample)).astype(int)
    chosen = {names[index] for index in indices}

    def view(name: str) -> _View | BrokenImage:
        return attempt(_view, files, name, name in chosen)

    with (
        formats.without_warnings(),
        concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as pool,
    ):
        found = tqdm.tqdm(
            pool.map(view, names), total=len(names), unit=" images", disable=None
        )
        views = dict(zip(names, found, strict=True))
    broken = tuple(str(v) for v in views.values() if isinstance(v, BrokenImage))
    views = {name: view for name, view in views.items() if isinstance(view, _View)}
    flagged, checked = _verdicts(views)
    return Findings(
        path=str(path),
        images=len(names),
        sizes=collections.Counter(view.size for view in views.values()),
        modes=collections.Counter(view.mode for view in views.values()),
        broken=broken,
        duplicates=_duplicates(views),
        flagged=flagged,
        checked=checked,
        could_be_classes=label_files.could_be_classes(names),
        left_out=tuple(left_out.of_set(files, names)),
        **_labels(files, names),
    )


def _view(files: Files, name: str, check: bool) -> _View:
    size, mode, pixels = files.read_image(name)
    about = f"{size} {mode} ".encode()
    digest = hashlib.blake2b(about + pixels.tobytes(), digest_size=16).digest()
    verdicts = None
    if check and mode in CHANNELS:
        grey = defects.grey(pixels.reshape(size[1], size[0], -1))
        verdicts = {defect: has(grey) for defect, has in defects.DETECTORS.items()}
    return _View(size, mode, digest, verdicts)


def _verdicts(
    views: dict[str, _View],
) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    """Images by defect, and how many could be checked for it."""
    flagged, checked = {}, {}
    for defect in defects.DETECTORS:
        found = {
            name: view.verdicts[defect]
            for name, view in views.items()
            if view.verdicts is not None and view.verdicts[defect] is not None
        }
        flagged[defect] = tuple(name for name, verdict in found.items() if verdict)
        checked[defect] = len(found)
    return flagged, checked


def _duplicates(views: dict[str, _View]) -> tuple[tuple[str, ...], ...]:
    groups = collections.defaultdict(list)
    for name, view in views.items():
        groups[view.digest].append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def _labels(files: Files, names: tuple[str, ...]) -> dict:
    """The fields of Findings on labels; errors in them are a finding too."""
    none = {"classes": None, "class_names": None, "label_dim": 0, "label_fault": None}
    try:
        table = labels.read_table(files)
        if table is None:
            return none
        found = table.of(names, fix="training with labels needs all")
    except ValueError as error:
        return none | {"label_fault": str(error)}
    fields = {"class_names": found.class_names, "label_dim": found.dim}
    if found.values.ndim == 1:
        fields["classes"] = collections.Counter(found.values.tolist())
    return none | fields
