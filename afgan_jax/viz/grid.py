"""Grids and strips of images, PNG files.

Images are uint8 [N H W C] (`signal.pixels.to_uint8`), C = 1, 3 or 4, with
transparency. Files are complete or absent.
"""

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from afgan_jax import errors
from afgan_jax.viz import captions, enlarge

Bitmap = UInt8[np.ndarray, "_H _W _C"]
Images = UInt8[np.ndarray, "_N _H _W _C"]

CAPTION_HEIGHT = 14


def grid_size(resolution: int | tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of a grid of about 8K pixels, for square or (H, W) images."""
    h, w = (resolution, resolution) if isinstance(resolution, int) else resolution
    return int(np.clip(4320 // h, 4, 32)), int(np.clip(7680 // w, 7, 32))


def tile(images: Images, columns: int) -> Bitmap:
    """Images in rows of `columns`; the rest of the last row is black."""
    images = np.asarray(images)
    n, h, w, c = images.shape
    if not 1 <= columns:
        raise ValueError(f"columns={columns} must be at least 1")
    rows = -(-n // columns)
    blank = np.zeros((rows * columns - n, h, w, c), images.dtype)
    cells = np.concatenate([images, blank]).reshape(rows, columns, h, w, c)
    return cells.swapaxes(1, 2).reshape(rows * h, columns * w, c)


def sheet(images: Images, columns: int, *, squares: bool = False) -> Bitmap:
    """`tile` of images that are large enough to be seen; see `enlarge.enlarged`."""
    shown = enlarge.enlarged(np.asarray(images), columns=columns, squares=squares)
    return tile(shown, columns)


def strip(rows: Sequence[Images], captions: Sequence[str], *, gap: int = 2) -> Bitmap:
    """Rows of images with white gaps, each under its caption, on white.

    Rows may differ in length and image size.
    """
    lines = []
    for images, caption in zip(rows, captions, strict=True):
        lines += [_caption(caption), _line(np.asarray(images), gap)]
    width = max(line.shape[1] for line in lines)
    return np.concatenate([_widened(line, width, below=gap) for line in lines])


def save_png(path: str | os.PathLike, image: Bitmap) -> None:
    """Writes an image. An older file stays until the new one is complete."""
    write(path, lambda part: _pil(image).save(part, format="PNG"))


def save_figure(path: str | os.PathLike, image: Bitmap) -> None:
    """`save_png` of an image for people, with the command that drew it below."""
    told = [_caption(line) for line in captions.lines(max(image.shape[1] // 6, 50))]
    if not told:
        return save_png(path, image)
    rows = [on_white(np.asarray(image)), *told]
    width = max(row.shape[1] for row in rows)
    padded = [_widened(row, width) for row in rows]
    save_png(path, np.concatenate(padded))


def read_png(data: bytes) -> Bitmap:
    """The image of a file that save_png wrote."""
    with Image.open(io.BytesIO(data)) as opened:
        image = np.asarray(opened)
    return image if image.ndim == 3 else image[..., None]


def on_white(images: UInt8[np.ndarray, "*_N _H _W C"]) -> np.ndarray:
    """Images of any kind as RGB, white where they are transparent."""
    if images.shape[-1] < 4:
        return np.broadcast_to(images, (*images.shape[:-1], 3))
    part = images[..., 3:] / 255
    return np.rint(images[..., :3] * part + 255 * (1 - part)).astype(np.uint8)


def write(path: str | os.PathLike, save: Callable[[Path], Any]) -> None:
    """save(temporary path), which then becomes `path`: complete, or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with errors.accessing(path):
        try:
            save(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _widened(image: Bitmap, width: int, *, below: int = 0) -> Bitmap:
    """The image with white on its right, and some rows of it below."""
    margins = ((0, below), (0, width - image.shape[1]), (0, 0))
    return np.pad(image, margins, constant_values=255)


def _caption(text: str) -> Bitmap:
    font = ImageFont.load_default(11)
    width = int(np.ceil(font.getlength(text))) + 4
    image = Image.new("RGB", (width, CAPTION_HEIGHT), "white")
    ImageDraw.Draw(image).text((2, -2), text, fill="black", font=font)
    return np.array(image)


def _line(images: Images, gap: int) -> Bitmap:
    images = on_white(images)
    padded = np.pad(images, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    return tile(padded, len(images))


def _pil(image: Bitmap) -> Image.Image:
    image = np.asarray(image)
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
