"""One image of any kind and size, as a network of some size takes it."""

import os

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from afgan_jax import errors
from afgan_jax.data import formats, transforms


def read(
    path: str | os.PathLike, size: tuple[int, int], channels: int
) -> UInt8[np.ndarray, "H W C"]:
    """The largest centred part of the proportions of `size` (H, W), upright.

    Transparent pixels are white, if the network has no transparency. Raises ValueError
    for what is no image.
    """
    with errors.accessing(path), open(path, "rb") as file:
        try:
            with formats.without_warnings(), formats.open_image(file) as opened:
                image = transforms.to_eight_bits(
                    ImageOps.exif_transpose(opened), channels, "white"
                )
        except (
            ValueError,
            OSError,
            SyntaxError,
            Image.DecompressionBombError,
        ) as error:
            raise ValueError(f"{path}: {errors.in_one_line(error)}") from None
    cut = transforms.crop(image, size[::-1], "lanczos")
    return np.asarray(cut).reshape(*size, channels)


def names(path: str | os.PathLike) -> list[str]:
    """The images of a folder by name, or the one file. ValueError if there are none."""
    if not os.path.isdir(path):
        return [os.fspath(path)]
    known = formats.readable().suffixes
    found = sorted(name for name in os.listdir(path) if name.lower().endswith(known))
    if not found:
        raise ValueError(f"{path} holds no images")
    return [os.path.join(path, name) for name in found]
