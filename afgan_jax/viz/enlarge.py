"""Small images, large enough to be seen.

Images are uint8 [N H W C]. Each is enlarged alone, so that neighbours do not mix.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Images = UInt8[np.ndarray, "_N _H _W _C"]

SEEN = 128  # pixels of the shorter side that are enough
WIDEST = 4096  # pixels of a picture of several images


def factor(size: tuple[int, int], columns: int = 1) -> int:
    """How many times images [H W] are enlarged, `columns` of them side by side."""
    return max(min(-(-SEEN // min(size)), WIDEST // (size[1] * columns)), 1)


def enlarged(images: Images, *, columns: int = 1, squares: bool = False) -> Images:
    """Images whose shorter side has SEEN pixels or more, by a whole factor.

    With Lanczos' window, as a screen would show the signal that the pixels are samples
    of; squares: pixels are repeated instead, which shows the samples.
    """
    by = factor(images.shape[1:3], columns)
    if by == 1:
        return images
    if squares:
        return images.repeat(by, axis=1).repeat(by, axis=2)
    height, width, channels = images.shape[1:]
    grown = [
        np.asarray(
            Image.fromarray(image[..., 0] if channels == 1 else image).resize(
                (by * width, by * height), Image.Resampling.LANCZOS
            )
        )
        for image in images
    ]
    return np.stack(grown).reshape(-1, by * height, by * width, channels)
