"""Sizes of images: (height, width) in pixels; people read and write WIDTHxHEIGHT.

Lengths, such as those of shifts, are measured in the shorter side.
"""

from afgan_jax import errors

Size = tuple[int, int]
Resolution = int | tuple  # a setting: the side of a square, or (height, width)
LEAST, MOST = 16, 8192


def size_of(resolution: Resolution) -> Size:
    """The size of images of a setting `resolution`.

    Raises SettingError unless both sides are even and from LEAST to MOST.
    """
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    if len(size) != 2 or not all(map(is_possible, size)):
        why = (
            f"is not supported: choose an even number of pixels from {LEAST} to {MOST},"
            " or two, height,width (such as 64 or 96,160)"
        )
        raise errors.SettingError("resolution", resolution, why)
    return tuple(size)


def is_possible(side: int) -> bool:
    """Whether networks can have images with such a side."""
    return type(side) is int and side % 2 == 0 and LEAST <= side <= MOST


def resolution_of(size: Size) -> Resolution:
    """The setting `resolution` of images of this size."""
    return size[0] if size[0] == size[1] else tuple(size)


def setting(size: Size) -> str:
    """The setting `resolution` as people type it: "64", or "96,160" for 160x96."""
    return ",".join(map(str, size[:1] if size[0] == size[1] else size))


def told(size: Size) -> str:
    """As people read it: "64" of a square, "160x96" of 160 columns and 96 rows."""
    h, w = size
    return str(h) if h == w else f"{w}x{h}"
