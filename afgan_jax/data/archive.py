"""Image archives: a zip or a folder of images with optional labels.

Layout: image files (see formats) under any names, read in the order of their sorted
names, all of one size, and all grey, all RGB or all RGBA with 8 bits a channel.
`dataset.json` at the top holds {"labels": [[file name, label], ...]} or {"labels":
null}; a label is a class (an int) or a list of numbers; see `labels`. Images are uint8
HWC here, and so are labels of a batch float32 vectors of length c_dim (0: no labels).
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import uuid
import zipfile
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from afgan_jax import errors, image_size
from afgan_jax.data import labels, left_out, paths, writer
from afgan_jax.data.files import Files

CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}  # PIL mode -> channels
HEADERS_CHECKED = 4096  # at opening, evenly distributed: well under a second


@dataclasses.dataclass(frozen=True, eq=False)
class Archive:
    """A read-only sequence of (image, label), which threads may share; can be pickled.

    Position k is file `images[items[k]]`, flipped left to right from position
    `mirrored` on.
    """

    name: str
    size: image_size.Size
    channels: int
    labels: labels.Labels
    items: Int[np.ndarray, "N"]
    mirrored: int
    images: tuple[str, ...]
    files: Files

    @classmethod
    def open(
        cls,
        path: str | os.PathLike,
        *,
        resolution: int | tuple | None = None,
        use_labels: bool = False,
        max_images: int | None = None,
        mirror: bool = False,
        seed: int = 0,
    ) -> "Archive":
        """The archive at `path`, a zip or a folder.

        resolution: a side, or height and width; None: those of the first image.
        max_images: keep a random choice of so many, drawn from `seed`.
        mirror: append flipped copies of the images, which doubles the set.
        Raises ValueError if `path` is no archive, sizes or modes differ, or labels are
        missing with use_labels.
        """
        path = paths.resolve(path)
        files = Files(path)
        images = left_out.images_of(files)
        size, mode = _check_headers(files, images, resolution)
        found = labels.Labels(np.zeros([len(images), 0], np.float32), 0)
        if use_labels:
            found = _read_labels(files, images)
        items = _choose(len(images), max_images, seed)
        mirrored = len(items)
        if mirror:
            items = np.concatenate([items, items])
        return cls(
            name=path.stem,
            size=size,
            channels=CHANNELS[mode],
            labels=found.of(items),
            items=items,
            mirrored=mirrored,
            images=images,
            files=files,
        )

    @property
    def resolution(self) -> image_size.Resolution:
        """The setting of this name for its images."""
        return image_size.resolution_of(self.size)

    @property
    def label_dim(self) -> int:
        return self.labels.dim

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(
        self, index: int
    ) -> tuple[UInt8[np.ndarray, "H W C"], Float[np.ndarray, "c_dim"]]:
        """The image and label at `index`; ValueError if the file is damaged."""
        return self.image(index), self.labels.rows(index)

    def image(self, index: int) -> UInt8[np.ndarray, "H W C"]:
        """The image at `index`; ValueError if the file is damaged."""
        index = range(len(self))[index]
        name = self.images[self.items[index]]
        found, mode, image = self.files.read_image(name)
        if found[::-1] != self.size or CHANNELS.get(mode) != self.channels:
            raise _difference(self.files, name, found, mode, self.images[0])
        if index >= self.mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
        return image.reshape(*self.size, self.channels)

    def digest(self, count: int | None = None) -> str:
        """A hash of the content of the first `count` images, by default all.

        File names, paths and order do not matter.
        """
        items = self.items[:count]
        sums = sorted(self.files.checksum(self.images[i]) for i in items)
        mirrored = max(len(items) - self.mirrored, 0)
        about = (self.resolution, self.channels, mirrored, sums)
        return hashlib.sha256(repr(about).encode()).hexdigest()


def write_archive(
    path: str | os.PathLike,
    images: Iterable[UInt8[np.ndarray, "H W C"]],
    labels: Sequence | None = None,
) -> pathlib.Path:
    """Write images, and a class or vector for each, to a zip; returns its path.

    PNGs are not compressed, and the same input gives the same bytes. The file appears
    when it is complete, and nothing remains on failure.
    Raises ValueError if there are no images, or another number of labels.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as target:
            names = []
            for index, image in enumerate(images):
                names.append(writer.image_name(index))
                grey = image.shape[2] == 1
                file = writer.encode(Image.fromarray(image[..., 0] if grey else image))
                writer.add(target, names[-1], file)
            if not names:
                raise ValueError(f"no images to write to {path}")
            if labels is not None:
                if len(labels) != len(names):
                    raise ValueError(
                        f"{len(labels)} labels for {len(names)} images of {path}"
                    )
                rows = [np.asarray(label).tolist() for label in labels]
                labels = [list(row) for row in zip(names, rows, strict=True)]
            table = json.dumps({"labels": labels}).encode()
            writer.add(target, "dataset.json", table)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _check_headers(
    files: Files, images: Sequence[str], resolution: image_size.Resolution | None
) -> tuple[image_size.Size, str]:
    """The (height, width) and mode that the images share."""
    size, mode = files.read_header(images[0])
    where = f"{files.path}: {images[0]}"
    if mode not in CHANNELS:
        raise ValueError(
            f"{where} has mode {mode}: convert the images to L, RGB or RGBA"
        )
    if resolution not in (None, image_size.resolution_of(size[::-1])):
        why = f"does not match {where}, {_by(size)}: resize the images, or set"
        actual = image_size.setting(size[::-1])
        raise errors.SettingError("data.resolution", resolution, f"{why} {actual}")
    count = min(len(images), HEADERS_CHECKED)
    for index in np.linspace(0, len(images) - 1, count).astype(int):
        found = files.read_header(images[index])
        if found != (size, mode):
            raise _difference(files, images[index], *found, images[0])
    return size[::-1], mode


def _difference(
    files: Files, name: str, size: tuple[int, int], mode: str, first: str
) -> ValueError:
    expected, expected_mode = files.read_header(first)
    return ValueError(
        f"{files.path}: {name} is {_by(size)} {mode}, but {first} is {_by(expected)} "
        f"{expected_mode}: all images must have one size and mode"
    )


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _choose(count: int, keep: int | None, seed: int) -> Int[np.ndarray, "N"]:
    if keep is not None and keep < 1:
        why = "must be at least 1, or none for all"
        raise errors.SettingError("data.max_images", keep, why)
    items = np.arange(count)
    if keep is None or keep >= count:
        return items
    np.random.RandomState(seed).shuffle(items)
    return np.sort(items[:keep])


def _read_labels(files: Files, images: Sequence[str]) -> labels.Labels:
    table = labels.read_table(files)
    if table is None:
        raise ValueError(
            f"{files.path}: dataset.json is missing or holds no labels: add it, or set "
            "use_labels=False"
        )
    return table.of(images, fix="add them, or set use_labels=False")
