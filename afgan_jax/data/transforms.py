"""Images of any kind to 8-bit grey or RGB, and to one size.

Sizes are (width, height) in pixels; modes are PIL's, with ";16" behind them for 16 bits
a channel. Resampling is Pillow's, which low-passes when it shrinks: as the published
program resizes, pixel for pixel.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

from afgan_jax import errors

# Channels that a picture of each mode is shown with.
MODES = {"1": 1, "L": 1, "LA": 1, "La": 1, "L;16": 1}
MODES |= {"I;16": 1, "I;16L": 1, "I;16B": 1, "I;16N": 1}
MODES |= {"RGB": 3, "RGBA": 3, "RGBa": 3, "RGBX": 3, "P": 3, "PA": 3, "RGB;16": 3}
MODES |= {"CMYK": 3, "YCbCr": 3, "LAB": 3, "HSV": 3}
FILTERS = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
BACKGROUNDS = ("white", "black")

Size = tuple[int, int]
Resize = Callable[[Image.Image, Size], Image.Image]


def channels_of(mode: str) -> int:
    """1 or 3; ValueError for modes whose numbers have no known range."""
    if mode not in MODES:
        raise ValueError(f"mode {mode} has no defined black and white")
    return MODES[mode]


def upright(image: Image.Image) -> Image.Image:
    """Turned and flipped as its EXIF orientation asks."""
    return ImageOps.exif_transpose(image)


def to_eight_bits(image: Image.Image, channels: int, background: str) -> Image.Image:
    """The picture in mode L or RGB.

    Of 16 bits the higher 8 are kept. What is transparent lets `background` through.
    CMYK is converted without colour profiles.
    """
    channels_of(image.mode)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(below, image).convert("RGB")
    mode = {1: "L", 3: "RGB"}[channels]
    return image if image.mode == mode else image.convert(mode)


def stretch(image: Image.Image, size: Size, resize: Resize) -> Image.Image:
    """All of the picture, whatever becomes of its proportions."""
    return resize(image, size)


def crop(image: Image.Image, size: Size, resize: Resize) -> Image.Image:
    """The largest square in the middle."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return resize(image.crop((left, top, left + side, top + side)), size)


def letterbox(image: Image.Image, size: Size, resize: Resize) -> Image.Image:
    """All of the picture in its proportions, in the middle of black."""
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = tuple(max(1, round(side * scale)) for side in image.size)
    canvas = Image.new(image.mode, size)
    place = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas.paste(resize(image, inner), place)
    return canvas


def wide(image: Image.Image, size: Size, resize: Resize) -> Image.Image:
    """The published "center-crop-wide": WxH in the middle of a black W x W.

    Keeps W h / w of the h rows of the source and all its columns; so proportions stay
    only where w = W. Raises ValueError for sources that are too small.
    """
    width, height = size
    rows = round(width * image.height / image.width)
    if image.width < width or rows < height:
        raise ValueError(
            f"{image.width}x{image.height} is too small for {width}x{height} by "
            "fit=wide"
        )
    top, bottom = (image.height - rows) // 2, (image.height + rows) // 2
    canvas = Image.new(image.mode, (width, width))
    part = image.crop((0, top, image.width, bottom))
    canvas.paste(resize(part, size), (0, (width - height) // 2))
    return canvas


FITS = {"crop": crop, "letterbox": letterbox, "stretch": stretch, "wide": wide}


def fit_to(
    image: Image.Image, size: Size | None, fit: str | None, filter: str
) -> Image.Image:
    """The picture at `size` by the ways of FITS and FILTERS; size None leaves it."""
    if size is None:
        return image

    def resize(image: Image.Image, size: Size) -> Image.Image:
        return _resize(image, size, FILTERS[filter])

    return FITS[fit or "stretch"](image, size, resize)


def _resize(image: Image.Image, size: Size, filter: Image.Resampling) -> Image.Image:
    """The picture resampled along one axis and then the other, each to 8 bits.

    The order shows, by several levels here and there. Pillow 13 begins with columns
    under the condition below, older ones never do; here no version matters.
    """
    if image.size == size:
        return image
    columns_first = image.height - size[1] > max(0, 2 * (image.width - size[0]))
    between = (image.width, size[1]) if columns_first else (size[0], image.height)
    return image.resize(between, filter).resize(size, filter)


def check_fit(size: Size | None, fit: str | None) -> None:
    """Raise ValueError unless `fit` makes squares of `size`."""
    if size is None:
        if fit is not None:
            raise errors.SettingError("fit", fit, "needs a size, such as 256x256")
    elif fit == "wide" and size[0] < size[1]:
        raise ValueError(f"size={size[0]}x{size[1]}: fit=wide needs a width >= height")
    elif fit != "wide" and size[0] != size[1]:
        raise ValueError(
            f"size={size[0]}x{size[1]} is not square, but training needs squares: give "
            f"{min(size)}x{min(size)}, or fit=wide"
        )
