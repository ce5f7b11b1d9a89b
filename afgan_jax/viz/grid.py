"""Grids and strips of images, PNG and GIF files.

Images are uint8 [N H W C] (`signal.pixels.to_uint8`), C = 1 or 3. Files appear whole or
not at all.
"""

import os
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

Picture = UInt8[np.ndarray, "_H _W _C"]
Images = UInt8[np.ndarray, "_N _H _W _C"]

CAPTION_HEIGHT = 14


def grid_size(resolution: int | tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of a sample grid of about 8K, for square or (H, W) images."""
    h, w = (resolution, resolution) if isinstance(resolution, int) else resolution
    return int(np.clip(4320 // h, 4, 32)), int(np.clip(7680 // w, 7, 32))


def tile(images: Images, columns: int) -> Picture:
    """Images in reading order, `columns` to a row; black where the last row ends."""
    images = np.asarray(images)
    n, h, w, c = images.shape
    if not 1 <= columns:
        raise ValueError(f"columns={columns}: a grid needs at least 1 column")
    rows = -(-n // columns)
    blank = np.zeros((rows * columns - n, h, w, c), images.dtype)
    cells = np.concatenate([images, blank]).reshape(rows, columns, h, w, c)
    return cells.swapaxes(1, 2).reshape(rows * h, columns * w, c)


def strip(
    rows: Sequence[Images], captions: Sequence[str] | None = None, *, gap: int = 2
) -> Picture:
    """One line of images per row, white between, each under its caption if given.

    Rows may differ in length and image size; grey ones become RGB.
    """
    if captions is not None and len(captions) != len(rows):
        raise ValueError(f"{len(captions)} captions for {len(rows)} rows: one each")
    lines = []
    for i, images in enumerate(rows):
        if captions is not None:
            lines.append(_caption(captions[i]))
        lines.append(_line(_rgb(np.asarray(images)), gap))
    width = max(line.shape[1] for line in lines)
    fill = {"mode": "constant", "constant_values": 255}
    return np.concatenate(
        [np.pad(m, ((0, gap), (0, width - m.shape[1]), (0, 0)), **fill) for m in lines]
    )


def save_png(path: str | os.PathLike, image: Picture) -> None:
    """Write a picture; an older file stays as it was until the new one is complete."""
    _save(path, _pil(image), format="PNG")


def save_gif(path: str | os.PathLike, frames: Sequence[Picture], fps: Real) -> None:
    """Write an endless animation. GIF counts in 1/100 s: fps is rounded to 100/n."""
    if not 0 < fps <= 50:
        raise ValueError(f"fps={fps}: GIF players show more than 0 and at most 50")
    first, *others = (_pil(frame) for frame in frames)
    duration = 10 * max(round(100 / fps), 2)
    _save(
        path,
        first,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=duration,
        loop=0,
    )


def _caption(text: str) -> Picture:
    font = ImageFont.load_default()
    width = int(np.ceil(font.getlength(text))) + 4
    image = Image.new("RGB", (width, CAPTION_HEIGHT), "white")
    ImageDraw.Draw(image).text((2, 1), text, fill="black", font=font)
    return np.array(image)


def _line(images: Images, gap: int) -> Picture:
    padded = np.pad(
        images, ((0, 0), (0, 0), (0, gap), (0, 0)), mode="constant", constant_values=255
    )
    return tile(padded, len(images))


def _rgb(images: Images) -> Images:
    return np.broadcast_to(images, (*images.shape[:3], 3))


def _pil(image: Picture) -> Image.Image:
    image = np.asarray(image)
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _save(path, image: Image.Image, **options) -> None:
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        image.save(temporary, **options)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
