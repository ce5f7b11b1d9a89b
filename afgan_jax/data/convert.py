"""Conversion of images of many formats to an archive for training.

All headers are read first: they decide whether the archive is grey or RGB, and reveal
most errors before any work. Images that cannot be read are skipped and listed; the
others keep their index in the source, as in the published program. The same source and
settings give the same bytes with any number of workers, and after any interruption.
"""

import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence

import PIL
import tqdm
from etils import epath

from afgan_jax.data import files, label_csv, labels, paths, transforms, writer
from afgan_jax.data.sources import Source

RECIPE = 1  # increase it when the same source and settings give other bytes
CHANNELS = {"auto": None, "1": 1, "3": 3}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that determine the bytes of every image."""

    size: transforms.Size | None
    fit: str | None
    filter: str
    channels: int
    background: str


@dataclasses.dataclass(frozen=True)
class Report:
    """The number of images, and of those from an interrupted attempt; what was skipped,
    as (name, reason); the labels of the images."""

    converted: int
    resumed: int
    skipped: tuple[tuple[str, str], ...]
    labels: labels.Labels | None


def convert(
    source: Source,
    out: str | os.PathLike,
    *,
    size: transforms.Size | None = None,
    fit: str | None = None,
    filter: str = "lanczos",
    label_source: str = "auto",
    channels: str = "auto",
    background: str = "white",
    max_images: int | None = None,
    workers: int | None = None,
) -> Report:
    """Write the archive `out`: a zip if its name ends in .zip, else a folder.

    size: (width, height) of the images; None: as in the source.
    fit: how other aspect ratios become square; a key of transforms.FITS.
    label_source: "auto" uses the labels of the source, "none" writes none, "folders"
        makes a class of each folder; else the path of a CSV.
    max_images: convert the first so many.
    workers: threads that decode, resize and encode; None: one for each core.
    The same call resumes an interrupted conversion (see writer).
    Raises ValueError if `out` exists or cannot be written, there is nothing to convert,
    sizes or aspect ratios differ without a `size` or `fit`, or labels are missing.
    """
    out = paths.resolve(out)
    writer.check_free(out)
    if paths.is_inside(out, paths.resolve(source.name)):
        raise ValueError(f"{out} lies in {source.name}: choose a place outside of it")
    transforms.check_fit(size, fit)
    images = source.images[:max_images]
    workers = workers or os.cpu_count() or 1
    table = _find_labels(source, images, label_source)
    given = None
    if table is not None:
        given = table.of(images, fix="add them, or set labels=none")
    headers, broken = _survey(source, len(images), workers)
    _check_sizes(source, headers, size, fit)
    if CHANNELS[channels] is None:
        modes = {mode for _, mode in headers.values()}
        channels = str(max(transforms.channels_of(mode) for mode in modes))
    settings = Settings(size, fit, filter, CHANNELS[channels], background)
    target = writer.open_writer(out, _key(source, out, images, settings))
    resumed = len(target.names)
    try:
        broken |= _fill(target, source, sorted(headers), settings, workers)
        if not target.names:
            raise ValueError(f"{source.name}: no image is left, {_some(broken)}")
        kept = [i for i in range(len(images)) if writer.image_name(i) in target.names]
        given = None if given is None else given.of(kept)
        target.finish(_label_file({i: images[i] for i in kept}, table, given))
    except ValueError:
        target.discard()
        raise
    except BaseException:
        target.leave()
        raise
    skipped = tuple((images[index], broken[index]) for index in sorted(broken))
    return Report(len(target.names), resumed, skipped, given)


def _find_labels(
    source: Source, images: Sequence[str], label_source: str
) -> labels.Table | None:
    """The labels asked for, or None."""
    if label_source == "none" or (label_source == "auto" and source.table is None):
        return None
    if label_source == "auto":
        table = source.table
    elif label_source == "folders":
        table = labels.from_folders(images, f"{source.name} by its folders")
    else:
        table = label_csv.read(paths.resolve(label_source), images)
    return table


def _survey(
    source: Source, count: int, workers: int
) -> tuple[dict[int, tuple[transforms.Size, str]], dict[int, str]]:
    """Headers by index, and the reasons why others cannot be read, by index."""
    read = functools.partial(files.attempt, source.header)
    found = _in_order(read, range(count), workers)
    found = tqdm.tqdm(found, total=count, unit=" headers", disable=None, leave=False)
    headers, broken = {}, {}
    for index, result in enumerate(found):
        (broken if isinstance(result, str) else headers)[index] = result
    if not headers:
        raise ValueError(f"{source.name}: no image can be read, {_some(broken)}")
    return headers, broken


def _some(broken: dict[int, str]) -> str:
    return f"{len(broken)} fail, the first with: {broken[min(broken)]}"


def _check_sizes(
    source: Source, headers: dict, size: transforms.Size | None, fit: str | None
) -> None:
    for index in sorted(headers):
        width, height = headers[index][0]
        if fit is None and width != height:
            raise ValueError(
                f"{source.name}: {source.images[index]} is {width}x{height}, not "
                "square: choose a fit, crop (the middle), letterbox (black bars) or"
                " stretch, and a size"
            )
    if size is None:
        sizes = collections.Counter(header[0] for header in headers.values())
        if len(sizes) > 1:
            common = ", ".join(f"{w}x{h}" for (w, h), _ in sizes.most_common(3))
            raise ValueError(
                f"{source.name} has images of {len(sizes)} sizes ({common}): choose "
                "one, such as size=256x256"
            )


def _key(source: Source, out: epath.Path, images: tuple, settings: Settings) -> str:
    """A hash of all that determines the bytes: partial archives of it are resumed."""
    parts = [RECIPE, PIL.__version__, source.key, str(out), len(images)]
    parts.append(dataclasses.astuple(settings))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _fill(
    target: writer.ZipWriter | writer.FolderWriter,
    source: Source,
    indices: Sequence[int],
    settings: Settings,
    workers: int,
) -> dict[int, str]:
    """Adds the missing images; returns the reasons for those skipped, by index."""
    broken = {}
    todo = [i for i in indices if writer.image_name(i) not in target.names]
    results = _in_order(lambda i: _make(source, i, settings), todo, workers)
    done = len(indices) - len(todo)
    with tqdm.tqdm(
        total=len(indices), initial=done, unit=" images", disable=None
    ) as bar:
        for index, result in zip(todo, results, strict=True):
            if isinstance(result, str):
                broken[index] = result
            else:
                target.add(writer.image_name(index), result)
            bar.update()
    return broken


def _make(source: Source, index: int, settings: Settings) -> bytes | str:
    """The PNG, or why there is none."""
    image = files.attempt(source.read, index)
    if isinstance(image, str):
        return image
    flat = transforms.to_eight_bits(image, settings.channels, settings.background)
    try:
        shown = transforms.fit_to(flat, settings.size, settings.fit, settings.filter)
    except ValueError as error:
        return f"{source.images[index]}: {error}"
    return writer.encode(shown)


def _in_order(function: Callable, items: Sequence, workers: int) -> Iterator:
    """Yields function(item) of each, computed by threads a little ahead."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        ahead = collections.deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 4 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _label_file(
    kept: dict[int, str], table: labels.Table | None, given: labels.Labels | None
) -> bytes:
    """dataset.json for images by number; vectors keep the digits they came with."""
    if table is None:
        return json.dumps({"labels": None}).encode()
    values = given.values.tolist()
    if given.values.ndim == 2:
        values = [table.rows[labels.canonical(name)] for name in kept.values()]
    rows = [list(row) for row in zip(map(writer.image_name, kept), values, strict=True)]
    more = {"class_names": given.class_names} if given.class_names is not None else {}
    return json.dumps({"labels": rows} | more).encode()
