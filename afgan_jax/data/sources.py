"""Sources of images to convert, behind one interface.

A folder or zip of images of many formats, at any depth, in the order of their sorted
paths; MNIST and CIFAR as published; a set of TensorFlow Datasets as tfds:NAME or
tfds:NAME:SPLIT. Paths may be in buckets (gs://...).
"""

import dataclasses
import functools
import hashlib
import io
import os
from collections.abc import Callable

from etils import epath
from PIL import Image, ImageOps

from afgan_jax.data import formats, labels, left_out, originals, paths, tfds, transforms
from afgan_jax.data.files import Files, naming

SCHEME = "tfds:"
SEVERAL = "several"  # in Image.info: whether the file has more frames or pages

Header = tuple[transforms.Size, str]  # and the mode


@dataclasses.dataclass(frozen=True)
class Source:
    """Images by index, for several threads.

    header(index) -> (size, mode) and read(index) -> image, the first of several
    frames, raise BrokenImage.
    read_table() -> the labels of the source, or None; `key` changes with the content.
    files: those of a folder or zip; None for other sources.
    """

    name: str
    images: tuple[str, ...]
    header: Callable[[int], Header]
    read: Callable[[int], Image.Image]
    read_table: Callable[[], labels.Table | None]
    key: str
    files: Files | None = None

    @property
    def table(self) -> labels.Table | None:
        """The labels of the source; ValueError if they are malformed."""
        return self.read_table()


def open_source(path: str | os.PathLike) -> Source:
    """The source at `path`; ValueError if there is none, or it has no images."""
    if str(path).startswith(SCHEME):
        return _from_tfds(str(path))
    path = paths.resolve(path)
    if not path.exists():
        raise ValueError(
            f"{path} does not exist: give a folder, a zip, an original archive of MNIST"
            f" or CIFAR, or {SCHEME}NAME"
        )
    return (_from_original if originals.is_original(path) else _from_files)(path)


def _from_files(path: epath.Path) -> Source:
    files = Files(path)
    images = left_out.images_of(files)
    return _encoded(
        str(path),
        images,
        lambda index: files.open(images[index]),
        functools.cache(lambda: labels.read_table(files)),
        _digest([str(path), *_stamps(files, images)]),
        files,
    )


def _from_tfds(spec: str) -> Source:
    contents, table = tfds.read(spec.removeprefix(SCHEME))
    images = _numbered(len(contents))
    key = _digest([spec, *images])
    return _encoded(spec, images, lambda i: io.BytesIO(contents[i]), lambda: table, key)


def _encoded(
    where: str,
    images: tuple[str, ...],
    open_file: Callable[[int], io.IOBase],
    read_table: Callable[[], labels.Table | None],
    key: str,
    files: Files | None = None,
) -> Source:
    """The source of images that Pillow decodes from files."""

    def header(index: int) -> Header:
        with naming(where, images[index]), open_file(index) as file:
            with formats.open_image(file) as image:
                mode = formats.mode_of(image)
                transforms.channels_of(mode)
                return image.size, mode

    def read(index: int) -> Image.Image:
        with naming(where, images[index]), open_file(index) as file:
            # Reads all, so that zipfile compares the checksum.
            with formats.open_image(io.BytesIO(file.read())) as image:
                shown = ImageOps.exif_transpose(image)
                several = getattr(image, "is_animated", False)
                shown.info[SEVERAL] = several and image.format != "MPO"
                return shown

    return Source(where, images, header, read, read_table, key, files)


def _from_original(path: epath.Path) -> Source:
    pixels, rows, class_names = originals.read(path)
    images = _numbered(len(pixels))
    table = labels.Table(str(path), dict(zip(images, rows, strict=True)), class_names)

    def read(index: int) -> Image.Image:
        return Image.fromarray(pixels[index])

    def header(index: int) -> Header:
        image = read(index)
        return image.size, image.mode

    key = _digest([str(path), hashlib.sha256(pixels.tobytes()).hexdigest()])
    return Source(str(path), images, header, read, lambda: table, key)


def _numbered(count: int) -> tuple[str, ...]:
    """Names for images without names."""
    return tuple(f"{index:08d}" for index in range(count))


def _stamps(files: Files, images: tuple[str, ...]) -> list[str]:
    """Sizes and times by which changes show; only names in buckets, which are slow."""
    if paths.is_remote(files.path):
        return list(images)
    if not files.path.is_dir():
        stat = os.stat(files.path)
        return [f"{stat.st_size} {stat.st_mtime_ns}"]
    known = [name for name in images if name not in files.listing.broken]
    stats = [(name, os.stat(files.path / name)) for name in known]
    links = [f"{name} -> {target}" for name, target in files.listing.links.items()]
    return links + [f"{n} {stat.st_size} {stat.st_mtime_ns}" for n, stat in stats]


def _digest(parts: list[str]) -> str:
    text = "\n".join(parts)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
