"""Conversion of images of many formats to an archive for training.

All headers are read first: they decide whether the archive is grey or RGB, and reveal
most errors before any work. Images that cannot be read are skipped and listed; the
others keep their index in the source, as in the published program. The same source and
settings give the same bytes with any number of workers, and after any interruption.
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import PIL
import tqdm
from etils import epath

from afgan_jax.data import (
    files,
    formats,
    label_csv,
    labels,
    left_out,
    parallel,
    paths,
    survey,
    transforms,
    writer,
)
from afgan_jax.data.sources import SEVERAL, Header, Source

RECIPE = 2  # increase it when the same source and settings give other bytes
CHANNELS = {"auto": None, "1": 1, "3": 3, "4": 4}
MAX_PIXELS = 2 * 89_478_485  # of an image; Pillow's own limit


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that determine the bytes of every image."""

    size: transforms.Size | None
    fit: str | None
    filter: str
    channels: int
    background: str
    depth: int


@dataclasses.dataclass(frozen=True)
class Report:
    """What was converted, and what not.

    converted: images, of which `resumed` from an interrupted attempt. skipped: (name,
    reason). labels: of the images. left_out: what else the source holds, in words.
    Of this attempt, dark: images of 16 bits that came out nearly black (see
    transforms.is_dark); several: those that are the first of several frames or pages.
    """

    converted: int
    resumed: int
    skipped: tuple[tuple[str, str], ...]
    labels: labels.Labels | None
    left_out: tuple[str, ...]
    dark: tuple[str, ...]
    several: tuple[str, ...]


class _Made(NamedTuple):
    png: bytes
    is_dark: bool
    is_one_of_several: bool


@formats.any_size()
@formats.without_warnings()
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
    depth: int = transforms.DEPTH,
    max_images: int | None = None,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
) -> Report:
    """Write the archive `out`: a zip if its name ends in .zip, else a folder.

    size: (width, height) of the images; None: as in the source.
    fit: how images of other aspect ratios get there; a key of transforms.FITS.
    label_source: "auto" uses the labels of the source, "none" writes none, "folders"
        makes a class of each folder; else the path of a CSV.
    depth: how many of 16 bits a grey image uses, such as 12 from some cameras.
    max_images: convert the first so many.
    max_pixels: leave out larger images; decoding takes several bytes a pixel.
    workers: threads that decode, resize and encode; None: one for each core.
    The same call resumes an interrupted conversion (see writer).
    Raises ValueError if `out` exists or cannot be written, there is nothing to convert,
    sizes or aspect ratios differ without a `size` or `fit`, or labels are missing.
    """
    out = _checked(source, out, size, fit, depth)
    images = source.images[:max_images]
    workers = workers or os.cpu_count() or 1
    table = _find_labels(source, images, label_source)
    given = None
    if table is not None:
        given = table.of(images, fix="add them, or set labels=none")
    headers, broken = survey.headers(source, len(images), workers, max_pixels, depth)
    survey.check_sizes(source, headers, size, fit)
    shown = _channels(channels, headers)
    settings = Settings(size, fit, filter, shown, background, depth)
    target = writer.open_writer(out, _key(source, out, images, settings))
    resumed = len(target.names)
    try:
        faults, dark, several = _fill(target, source, headers, settings, workers)
        broken |= faults
        if not target.names:
            why = survey.some(source, broken)
            raise ValueError(f"{source.name}: no image is left, {why}")
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
    unused = tuple(left_out.of_source(source.files, source.images, label_source))
    return Report(len(target.names), resumed, skipped, given, unused, dark, several)


def _checked(
    source: Source,
    out: str | os.PathLike,
    size: transforms.Size | None,
    fit: str | None,
    depth: int,
) -> epath.Path:
    """Where to write; ValueError if it cannot be, or the settings do not agree."""
    out = paths.resolve(out)
    writer.check_free(out)
    if paths.is_inside(out, paths.resolve(source.name)):
        raise ValueError(f"{out} lies in {source.name}: choose a place outside of it")
    transforms.check_fit(size, fit)
    transforms.check_depth(depth)
    return out


def _find_labels(
    source: Source, images: Sequence[str], label_source: str
) -> labels.Table | None:
    """The labels asked for, or None."""
    if label_source == "none" or (label_source == "auto" and source.table is None):
        return None
    if label_source == "auto":
        table = source.table
    elif label_source == "folders":
        table = labels.from_folders(
            images, f"{source.name} by its folders", source.images
        )
    else:
        table = label_csv.read(paths.resolve(label_source), images)
    return table


def _channels(channels: str, headers: dict[int, Header]) -> int:
    """1, 3 or 4; of "auto" 1 if all images are grey, else 3."""
    modes = {mode for _, mode in headers.values()}
    return CHANNELS[channels] or max(map(transforms.channels_of, modes))


def _key(source: Source, out: epath.Path, images: tuple, settings: Settings) -> str:
    """A hash of all that determines the bytes: partial archives of it are resumed."""
    parts = [RECIPE, PIL.__version__, source.key, str(out), len(images)]
    parts.append(dataclasses.astuple(settings))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _fill(
    target: writer.ZipWriter | writer.FolderWriter,
    source: Source,
    headers: dict[int, Header],
    settings: Settings,
    workers: int,
) -> tuple[dict[int, str], tuple[str, ...], tuple[str, ...]]:
    """Adds the missing images.

    Returns the reasons for those skipped, by index; dark and several of Report.
    """
    broken, dark, several, count = {}, [], [], len(headers)
    todo = [i for i in sorted(headers) if writer.image_name(i) not in target.names]
    make = functools.partial(_make, source, headers, settings)
    results = parallel.in_order(make, todo, workers)
    done = count - len(todo)
    with tqdm.tqdm(total=count, initial=done, unit=" images", disable=None) as bar:
        for index, result in zip(todo, results, strict=True):
            if isinstance(result, str):
                broken[index] = result
            else:
                target.add(writer.image_name(index), result.png)
                dark += [source.images[index]] * result.is_dark
                several += [source.images[index]] * result.is_one_of_several
            bar.update()
    return broken, tuple(dark), tuple(several)


def _make(
    source: Source, headers: dict[int, Header], settings: Settings, index: int
) -> _Made | str:
    """The PNG and what is odd about it, or why there is none."""
    image = files.attempt(source.read, index)
    if isinstance(image, files.BrokenImage):
        return image.reason
    flat = transforms.to_eight_bits(
        image, settings.channels, settings.background, settings.depth
    )
    try:
        shown = transforms.fit_to(flat, settings.size, settings.fit, settings.filter)
        shown = transforms.hide(shown, settings.background)
    except ValueError as error:
        return str(error)
    is_dark = transforms.is_dark(flat, headers[index][1])
    return _Made(writer.encode(shown), is_dark, image.info.get(SEVERAL, False))


def _label_file(
    kept: dict[int, str], table: labels.Table | None, given: labels.Labels | None
) -> dict:
    """dataset.json for images by number; vectors keep the digits they came with."""
    if table is None:
        return {"labels": None}
    values = given.values.tolist()
    if given.values.ndim == 2:
        values = [table.rows[labels.canonical(name)] for name in kept.values()]
    rows = [list(row) for row in zip(map(writer.image_name, kept), values, strict=True)]
    more = {"class_names": given.class_names} if given.class_names is not None else {}
    return {"labels": rows} | more
