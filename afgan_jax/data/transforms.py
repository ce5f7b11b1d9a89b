"""Images of many modes to 8-bit grey, RGB or RGBA, and to one size.

Sizes are (width, height) in pixels; modes are PIL's, followed by ";16" for 16 bits a
channel. Pillow resamples, with a low-pass when it shrinks: pixel for pixel as the
published program does.
"""

import numpy as np
from PIL import Image, ImageColor

from afgan_jax import errors

# {mode: channels after conversion}
MODES = {"1": 1, "L": 1, "LA": 1, "La": 1, "L;16": 1}
MODES |= {"I;16": 1, "I;16L": 1, "I;16B": 1, "I;16N": 1}
MODES |= {"RGB": 3, "RGBA": 3, "RGBa": 3, "RGBX": 3, "P": 3, "PA": 3, "RGB;16": 3}
MODES |= {"LA;16": 1, "RGBA;16": 3}
MODES |= {"CMYK": 3, "YCbCr": 3, "LAB": 3, "HSV": 3}
FILTERS = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}

DEPTH = 16
DARK = 16  # of 256 levels: an image of 12 bits stored in 16 stays below

Size = tuple[int, int]


def channels_of(mode: str) -> int:
    """1 or 3; ValueError for modes without a defined range of values."""
    if mode not in MODES:
        raise ValueError(f"mode {mode} has no defined black and white")
    return MODES[mode]


def to_eight_bits(
    image: Image.Image, channels: int, background: str, depth: int = DEPTH
) -> Image.Image:
    """The image in mode L, RGB or RGBA.

    Of 16 bits the higher 8 of the lowest `depth` are kept, and larger values are white.
    Transparent pixels are blended with `background` unless they stay, in RGBA. CMYK is
    converted without colour profiles.
    """
    channels_of(image.mode)
    if image.mode.startswith("I;16"):
        grey = np.minimum(np.asarray(image) >> (depth - 8), 255)
        image = Image.fromarray(grey.astype(np.uint8))
    elif image.has_transparency_data and channels < 4:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(below, image).convert("RGB")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    return image if image.mode == mode else image.convert(mode)


def hide(image: Image.Image, background: str) -> Image.Image:
    """An image whose pixels that nobody sees, of RGBA, have this colour."""
    if image.mode != "RGBA":
        return image
    pixels = np.array(image)
    pixels[pixels[..., 3] == 0, :3] = ImageColor.getrgb(background)
    return Image.fromarray(pixels)


def is_dark(image: Image.Image, mode: str) -> bool:
    """Whether an image whose file is of `mode` probably uses fewer than its 16 bits.

    image: what to_eight_bits made of it. One that is all black has nothing to show.
    """
    return ";16" in mode and 0 < int(np.atleast_3d(image)[..., :3].max()) < DARK


def check_depth(depth: int) -> None:
    """Raise ValueError unless so many of 16 bits can be in use."""
    if not 8 < depth <= DEPTH:
        raise errors.SettingError("depth", depth, f"must be from 9 to {DEPTH} bits")


def stretch(image: Image.Image, size: Size, filter: str) -> Image.Image:
    """The whole image, resampled along one axis and then the other, each to 8 bits.

    The order changes some pixels by several levels. Pillow 13 begins with columns under
    the condition below, older versions never do; here all versions agree.
    """
    if image.size == size:
        return image
    columns_first = image.height - size[1] > max(0, 2 * (image.width - size[0]))
    between = (image.width, size[1]) if columns_first else (size[0], image.height)
    return image.resize(between, FILTERS[filter]).resize(size, FILTERS[filter])


def crop(image: Image.Image, size: Size, filter: str) -> Image.Image:
    """The largest centred part of the proportions of `size`."""
    scale = min(image.width / size[0], image.height / size[1])
    inner = [min(round(side * scale), n) for side, n in zip(size, image.size)]
    left, top = ((n - side) // 2 for n, side in zip(image.size, inner))
    return stretch(
        image.crop((left, top, left + inner[0], top + inner[1])), size, filter
    )


def letterbox(image: Image.Image, size: Size, filter: str) -> Image.Image:
    """The whole image at its own aspect ratio, centred on black."""
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = tuple(max(1, round(side * scale)) for side in image.size)
    canvas = Image.new(image.mode, size)
    place = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas.paste(stretch(image, inner, filter), place)
    return canvas


def wide(image: Image.Image, size: Size, filter: str) -> Image.Image:
    """The published "center-crop-wide": WxH, centred on a black W x W.

    Keeps all w columns of the source and W h / w of its h rows, so the aspect ratio
    changes unless w = W. Raises ValueError for sources that are too small.
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
    canvas.paste(stretch(part, size, filter), (0, (width - height) // 2))
    return canvas


FITS = {"crop": crop, "letterbox": letterbox, "stretch": stretch, "wide": wide}


def fit_to(
    image: Image.Image, size: Size | None, fit: str | None, filter: str
) -> Image.Image:
    """The image at `size` by keys of FITS and FILTERS; unchanged if size is None."""
    return image if size is None else FITS[fit or "stretch"](image, size, filter)


def check_fit(size: Size | None, fit: str | None) -> None:
    """Raise ValueError unless `fit` makes images of `size` that can be trained on."""
    if size is None:
        if fit is not None:
            raise errors.SettingError("fit", fit, "needs a size, such as 256x256")
    elif fit == "wide" and size[0] < size[1]:
        why = "must have a width >= height with fit=wide"
        raise errors.SettingError("size", f"{size[0]}x{size[1]}", why)
    elif any(side % 2 for side in (size[:1] if fit == "wide" else size)):
        why = "must be even numbers of pixels for training"
        raise errors.SettingError("size", f"{size[0]}x{size[1]}", why)
