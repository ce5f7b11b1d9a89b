"""What an archive holds, and what about it would harm training.

Every image is decoded once: its size and mode are counted, its pixels compared with all
others. Detectors of defects (see defects) look at a sample, evenly spread.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import os

import numpy as np
import tqdm

from afgan_jax.data import defects, labels, paths
from afgan_jax.data.files import BrokenImage, Files

SAMPLE = 2000  # images that detectors look at: enough for a share to a percent


@dataclasses.dataclass(frozen=True)
class Findings:
    """Counts and names; `flagged` has images by defect, `judged` how many there were
    to tell. `classes` counts images by class (None: no labels), `label_dim` is the
    length of label vectors. Duplicates are groups of images of equal pixels."""

    path: str
    images: int
    sizes: collections.Counter
    modes: collections.Counter
    broken: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]
    sampled: int
    flagged: dict[str, tuple[str, ...]]
    judged: dict[str, int]
    classes: collections.Counter | None
    class_names: tuple[str, ...] | None
    label_dim: int
    label_fault: str | None


@dataclasses.dataclass(frozen=True)
class _View:
    size: tuple[int, int]
    mode: str
    digest: bytes
    verdicts: dict[str, bool | None] | None


def inspect(
    path: str | os.PathLike, *, sample: int = SAMPLE, workers: int | None = None
) -> Findings:
    """Findings on the archive at `path`; ValueError if it is none, or holds no images.

    workers: threads that decode; None: one for each core.
    """
    files = Files(paths.resolve(path))
    names = files.images
    if not names:
        raise ValueError(f"{path} holds no images (PNG, JPEG or WebP)")
    spread = np.linspace(0, len(names) - 1, min(len(names), sample))
    judged = {names[index] for index in spread.astype(int)}

    def view(name: str) -> _View | str:
        try:
            return _view(files, name, name in judged)
        except BrokenImage as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        found = tqdm.tqdm(
            pool.map(view, names), total=len(names), unit=" images", disable=None
        )
        views = dict(zip(names, found, strict=True))
    whole = {name: it for name, it in views.items() if not isinstance(it, str)}
    flagged, counts = _verdicts(whole)
    return Findings(
        path=str(path),
        images=len(names),
        sizes=collections.Counter(it.size for it in whole.values()),
        modes=collections.Counter(it.mode for it in whole.values()),
        broken=tuple(it for it in views.values() if isinstance(it, str)),
        duplicates=_duplicates(whole),
        sampled=len(judged & whole.keys()),
        flagged=flagged,
        judged=counts,
        **_labels(files, names),
    )


def _view(files: Files, name: str, judge: bool) -> _View:
    size, mode, pixels = files.read_image(name)
    about = f"{size} {mode} ".encode()
    digest = hashlib.blake2b(about + pixels.tobytes(), digest_size=16).digest()
    verdicts = None
    if judge and mode in ("L", "RGB"):
        grey = defects.grey(pixels.reshape(size[1], size[0], -1))
        verdicts = {name: tell(grey) for name, tell in defects.DETECTORS.items()}
    return _View(size, mode, digest, verdicts)


def _verdicts(
    views: dict[str, _View],
) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    """Images by defect, and how many could be judged."""
    flagged, judged = {}, {}
    for defect in defects.DETECTORS:
        told = {
            name: view.verdicts[defect]
            for name, view in views.items()
            if view.verdicts is not None and view.verdicts[defect] is not None
        }
        flagged[defect] = tuple(name for name, verdict in told.items() if verdict)
        judged[defect] = len(told)
    return flagged, judged


def _duplicates(views: dict[str, _View]) -> tuple[tuple[str, ...], ...]:
    groups = collections.defaultdict(list)
    for name, view in views.items():
        groups[view.digest].append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def _labels(files: Files, names: tuple[str, ...]) -> dict:
    """The fields of Findings on labels; what is wrong with them is a finding too."""
    none = {"classes": None, "class_names": None, "label_dim": 0, "label_fault": None}
    try:
        table = labels.read_table(files)
        if table is None:
            return none
        values = table.of(names, fix="training with labels will refuse it")
        vectors = labels.vectors(values, table.where)
    except ValueError as error:
        return none | {"label_fault": str(error)}
    counts = collections.Counter(v for v in values if isinstance(v, int))
    return {
        "classes": counts or None,
        "class_names": table.class_names,
        "label_dim": vectors.shape[1],
        "label_fault": None,
    }
