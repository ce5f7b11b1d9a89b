"""What the headers of a source say before any work: sizes, modes, what to leave out."""

import collections
import functools
import math

import tqdm

from afgan_jax.data import files, parallel, transforms
from afgan_jax.data.sources import Header, Source


def headers(
    source: Source, count: int, workers: int, max_pixels: int, depth: int
) -> tuple[dict[int, Header], dict[int, str]]:
    """Headers by index, and the reasons why others cannot be read, by index.

    See convert for max_pixels and depth. Raises ValueError if no image can be read.
    """
    read = functools.partial(files.attempt, source.header)
    found = parallel.in_order(read, range(count), workers)
    found = tqdm.tqdm(found, total=count, unit=" headers", disable=None, leave=False)
    good, broken = {}, {}
    for index, result in enumerate(found):
        if isinstance(result, files.BrokenImage):
            broken[index] = result.reason
        elif why := _refusal(*result, max_pixels, depth):
            broken[index] = why
        else:
            good[index] = result
    if not good:
        why = some(source, broken)
        raise ValueError(f"{source.name}: no image can be read, {why}")
    return good, broken


def _refusal(
    size: transforms.Size, mode: str, max_pixels: int, depth: int
) -> str | None:
    """Why an image with this header is left out, if it is."""
    if math.prod(size) > max_pixels:
        return f"it is {size[0]}x{size[1]}, more pixels than max_pixels={max_pixels}"
    is_grey = mode.startswith("I;16")
    if depth != transforms.DEPTH and mode.endswith(";16") and not is_grey:
        return f"depth={depth} is for grey images: of {mode} Pillow reads 8 bits only"
    return None


def some(source: Source, broken: dict[int, str]) -> str:
    """How many images are left out, and why the first of them."""
    first = min(broken)
    reason = f"{source.images[first]}: {broken[first]}"
    return f"{len(broken)} fail, the first with: {reason}"


def check_sizes(
    source: Source, headers: dict, size: transforms.Size | None, fit: str | None
) -> None:
    """Raise ValueError if the images differ in ways that `size` and `fit` leave."""
    for index in sorted(headers):
        width, height = headers[index][0]
        if fit is None and size is not None and width * size[1] != height * size[0]:
            raise ValueError(
                f"{source.name}: {source.images[index]} is {width}x{height}, of other"
                f" proportions than {size[0]}x{size[1]}: choose a fit, crop (the"
                " middle), letterbox (black bars) or stretch"
            )
    if size is None:
        sizes = collections.Counter(header[0] for header in headers.values())
        if len(sizes) > 1:
            common = ", ".join(f"{w}x{h}" for (w, h), _ in sizes.most_common(3))
            raise ValueError(
                f"{source.name} has images of {len(sizes)} sizes ({common}): choose "
                "one, such as size=256x256"
            )
        ((width, height),) = sizes
        if width % 2 or height % 2:
            raise ValueError(
                f"{source.name} has images of {width}x{height}: choose a size of even"
                " numbers, and a fit"
            )
