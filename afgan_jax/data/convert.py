"""Images of any kind to an archive that can be trained on.

All headers are read first: they decide whether the archive is grey or RGB, and tell
before any work what cannot be done. Images that cannot be read are left out and
listed; the others keep the index that they have in the source, as in the published
program. The same source and settings give the same bytes with any number of workers,
and after any interruption.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence

import PIL
import tqdm
from etils import epath

from afgan_jax.data import labels, paths, transforms, writer
from afgan_jax.data.files import BrokenImage
from afgan_jax.data.sources import Source

RECIPE = 1  # raise it when the same source and settings give other bytes
CHANNELS = {"auto": None, "1": 1, "3": 3}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What becomes of every picture."""

    size: transforms.Size | None
    fit: str | None
    filter: str
    channels: int
    background: str


@dataclasses.dataclass(frozen=True)
class Report:
    """What was made: how many images, of which some by an earlier attempt; what was
    left out, as (name, reason); the labels."""

    converted: int
    resumed: int
    skipped: tuple[tuple[str, str], ...]
    table: labels.Table | None


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
    """Write the archive `out`: a zip if its name ends so, else a folder.

    size: (width, height) of the images; None keeps that of the source.
    fit: how other proportions become square; a row of transforms.FITS.
    label_source: "auto" takes the labels that come with the source, "none" takes none,
        "folders" makes classes of folders; else the path of a CSV.
    max_images: convert the first that many.
    workers: threads that decode, resize and encode; None: one for each core.
    Interrupted, it leaves what the next call goes on from (see writer).
    Raises ValueError if `out` exists or cannot be written, there is nothing to convert,
    sizes or proportions differ without a `size` or `fit`, or some labels are missing.
    """
    out = paths.resolve(out)
    writer.check_free(out)
    if paths.is_inside(out, paths.resolve(source.name)):
        raise ValueError(f"{out} lies in {source.name}: choose a place outside of it")
    transforms.check_fit(size, fit)
    images = source.images[:max_images]
    workers = workers or os.cpu_count() or 1
    table = _find_labels(source, images, label_source)
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
        target.finish(_label_file(target.names, images, table))
    except ValueError:
        target.discard()
        raise
    except BaseException:
        target.leave()
        raise
    skipped = tuple((images[index], broken[index]) for index in sorted(broken))
    return Report(len(target.names), resumed, skipped, table)


def _find_labels(
    source: Source, images: Sequence[str], label_source: str
) -> labels.Table | None:
    """Labels for every one of `images`, or None."""
    if label_source == "none" or (label_source == "auto" and source.table is None):
        return None
    if label_source == "auto":
        table = source.table
    elif label_source == "folders":
        table = labels.from_folders(images, f"{source.name} by its folders")
    else:
        table = labels.read_csv(paths.resolve(label_source), images)
    labels.vectors(table.of(images, fix="add them, or take none"), table.where)
    return table


def _survey(
    source: Source, count: int, workers: int
) -> tuple[dict[int, tuple[transforms.Size, str]], dict[int, str]]:
    """Headers by index, and the reasons why others cannot be read."""

    def look(index: int) -> tuple | str:
        try:
            return source.header(index)
        except BrokenImage as error:
            return str(error)

    looks = _in_order(look, range(count), workers)
    looks = tqdm.tqdm(looks, total=count, unit=" headers", disable=None, leave=False)
    found = dict(enumerate(looks))
    broken = {index: it for index, it in found.items() if isinstance(it, str)}
    if len(broken) == count:
        raise ValueError(f"{source.name}: no image can be read, {_some(broken)}")
    return {index: found[index] for index in found.keys() - broken.keys()}, broken


def _some(broken: dict[int, str]) -> str:
    return f"{len(broken)} fail, the first with: {broken[min(broken)]}"


def _check_sizes(
    source: Source, headers: dict, size: transforms.Size | None, fit: str | None
) -> None:
    if fit is None:
        for index in sorted(headers):
            width, height = headers[index][0]
            if width != height:
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
                f"{source.name} has images of {len(sizes)} sizes ({common}): give the "
                "one they are to have, such as size=256x256"
            )


def _key(source: Source, out: epath.Path, images: tuple, settings: Settings) -> str:
    """What a partial archive must share with us to be gone on with."""
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
    """Adds the images that are missing; the reasons of those left out."""
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
    try:
        image = source.read(index)
        flat = transforms.to_eight_bits(image, settings.channels, settings.background)
    except BrokenImage as error:
        return str(error)
    try:
        shown = transforms.fit_to(flat, settings.size, settings.fit, settings.filter)
    except ValueError as error:
        return f"{source.images[index]}: {error}"
    return writer.encode(shown)


def _in_order(function: Callable, items: Sequence, workers: int) -> Iterator:
    """function(item) of each, computed by threads a little ahead of whoever asks."""
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
    names: set[str], images: Sequence[str], table: labels.Table | None
) -> bytes:
    rows, more = None, {}
    if table is not None:
        named = ((writer.image_name(index), name) for index, name in enumerate(images))
        rows = [[ours, table.rows[name]] for ours, name in named if ours in names]
        if table.class_names is not None:
            more = {"class_names": list(table.class_names)}
    return json.dumps({"labels": rows} | more).encode()
