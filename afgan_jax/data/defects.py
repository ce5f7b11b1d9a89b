"""What tells that an image has been upscaled, blocked, aliased or letterboxed.

Each detector looks at one image, float32 grey [H W] of 0 to 255, and says True, False,
or None where too little is in it to tell. Spectra are of rows and of columns under a
Hann window, averaged, in dB of squared grey levels; frequencies in cycles per pixel, so
that Nyquist is 0.5. Thresholds separate photographs and the Earth set, properly shrunk,
from the same with the defect (tests/data/test_defects.py counts errors).
"""

import numpy as np
from jaxtyping import Float

Grey = Float[np.ndarray, "H W"]
SMALLEST = 16  # pixels a side below which nothing is told
LUMA = (0.299, 0.587, 0.114)

# A photograph loses 9 to 20 dB from the first band to the last, a picture upscaled by
# any smooth filter 23 dB or more, down to the rounding of grey levels.
BELOW, NYQUIST, LOSS = (0.125, 0.2), (0.425, 0.5), 23.0
ROUNDING = 10 * np.log10(1 / 12)  # dB: the least that can be told from nothing
# Towards Nyquist a filtered picture falls, by 2 to 7 dB from the first band to the last
# and 5 to 13 from the second; what aliasing folds back makes it level.
EDGE, NEAR, MIDDLE, LEVEL = (0.45, 0.5), (0.35, 0.4), (0.25, 0.3), (-2.0, -4.5)
AUDIBLE = 0.0  # dB near Nyquist from which aliasing would be seen
# Steps at the borders of 8x8 blocks, beyond those at any other column, in mean steps.
ALIGNED, ANYWHERE = 0.12, 0.2
REPEATED = 0.4  # share of rows and columns that equal the next: pixels were repeated
FLAT, JUMP = 6, 12  # grey levels: across a bar at most, from a bar to the picture


def grey(pixels: np.ndarray) -> Grey:
    """uint8 [H W 1] or [H W 3] to grey levels."""
    if pixels.shape[2] == 1:
        return pixels[..., 0].astype(np.float32)
    return pixels.astype(np.float32) @ np.float32(LUMA)


def is_upscaled(image: Grey) -> bool | None:
    """Nothing where the finest details should be, or pixels repeated."""
    if min(image.shape) < SMALLEST or np.ptp(image) == 0:
        return None
    same = min(_repeated(image), _repeated(image.T))
    if same >= REPEATED:
        return True
    below, edge = _levels(image, BELOW, NYQUIST)
    if below < ROUNDING + LOSS:
        return None
    return bool(below - edge >= LOSS)


def is_aliased(image: Grey) -> bool | None:
    """As much just below Nyquist as further down: shrunk without a low-pass."""
    if min(image.shape) < SMALLEST:
        return None
    edge, near, middle = _levels(image, EDGE, NEAR, MIDDLE)
    if middle < AUDIBLE:
        return None
    level = edge >= AUDIBLE and edge - near >= LEVEL[0] and edge - middle >= LEVEL[1]
    return bool(level) and not is_blocked(image)


def is_blocked(image: Grey) -> bool | None:
    """Steps every 8 pixels, along rows and columns: a JPEG of low quality."""
    if min(image.shape) < 3 * 8 or np.ptp(image) == 0:
        return None
    gaps = [_block_steps(image), _block_steps(image.T)]
    aligned = np.mean([at_seven for at_seven, _ in gaps])
    anywhere = min(at_best for _, at_best in gaps)
    return bool(aligned >= ALIGNED or anywhere >= ANYWHERE)


def is_letterboxed(image: Grey) -> bool | None:
    """Bars of one level at two opposite sides, and only there."""
    if min(image.shape) < SMALLEST or np.ptp(image) <= FLAT:
        return None
    return _has_bars(image) != _has_bars(image.T)


def _levels(image: Grey, *bands: tuple[float, float]) -> list[float]:
    """Mean power in each band, dB; at least that of rounding."""
    power = [_power(image), _power(image.T)]
    levels = []
    for low, high in bands:
        inside = [p[(f >= low) & (f <= high)].mean() for f, p in power]
        levels.append(float(max(10 * np.log10(np.mean(inside) + 1e-9), ROUNDING)))
    return levels


def _power(image: Grey) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and the mean power of the rows at each."""
    width = image.shape[1]
    window = np.hanning(width + 2)[1:-1].astype(np.float32)
    rows = (image - image.mean(axis=1, keepdims=True)) * window
    power = np.abs(np.fft.rfft(rows, axis=1)) ** 2 / (window**2).sum()
    return np.fft.rfftfreq(width), power.mean(axis=0)


def _repeated(image: Grey) -> float:
    """The share of columns that equal their right neighbour."""
    return float((image[:, 1:] == image[:, :-1]).all(axis=0).mean())


def _block_steps(image: Grey) -> tuple[float, float]:
    """How far columns 7, 15, ... lead in steps to their right, and how far the leading
    ones of every 8 do. Among all eight, so that what repeats every 2 or 4 columns, as
    after upscaling, does not count."""
    step = np.abs(np.diff(image, axis=1)).mean(axis=0)
    extra = step[1:-1] - (step[:-2] + step[2:]) / 2
    column = 1 + np.arange(len(extra))
    # The median, for which one edge in the picture is nothing.
    lead = np.array([np.median(extra[column % 8 == phase]) for phase in range(8)])
    lead /= step.mean() + 0.25  # a quarter level: nothing is made of rounding
    ordered = np.sort(lead)
    return float(lead[7] - lead[:7].max()), float(ordered[-1] - ordered[-2])


def _has_bars(image: Grey) -> bool:
    """Whether rows at the top and the bottom are bars of one level."""
    flat = np.ptp(image, axis=1) <= FLAT
    if flat.all():
        return False
    top, bottom = flat.argmin(), flat[::-1].argmin()
    if not min(top, bottom) >= max(2, len(image) // 50):
        return False
    ends = image[0].mean(), image[-1].mean()
    inside = image[top], image[-1 - bottom]
    jump = max(np.abs(row - end).mean() for row, end in zip(inside, ends, strict=True))
    return bool(abs(ends[0] - ends[1]) <= FLAT and jump >= JUMP)


DETECTORS = {
    "upscaled": is_upscaled,
    "blocked": is_blocked,
    "aliased": is_aliased,
    "letterboxed": is_letterboxed,
}
