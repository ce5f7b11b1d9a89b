"""Detectors of images that are upscaled, blocked by JPEG, aliased or letterboxed.

Each takes one image, float32 grey [H W] of 0 to 255, and returns True, False, or None
if the image has too little content to decide. Spectra are averages over rows and
columns with a Hann window, in dB of squared grey levels; frequencies are in cycles per
pixel, so Nyquist is 0.5. Thresholds separate photographs and the Earth set, properly
shrunk, from the same with the defect (tests/data/test_defects.py counts errors).
"""

import numpy as np
from jaxtyping import Float

Grey = Float[np.ndarray, "H W"]
SMALLEST = 16  # pixels a side; smaller images get None
LUMA = (0.299, 0.587, 0.114)

# A photograph loses 9 to 20 dB from the first band to the second, an image upscaled by
# a smooth filter 23 dB or more, down to the rounding of grey levels.
BELOW, NYQUIST, LOSS = (0.125, 0.2), (0.425, 0.5), 23.0
ROUNDING = 10 * np.log10(1 / 12)  # dB: the noise of rounding
# EDGE is 2 to 7 dB below NEAR, and 5 to 13 below MIDDLE, in a filtered image; aliasing
# folds energy back and makes the spectrum level: by less than LEVEL.
EDGE, NEAR, MIDDLE, LEVEL = (0.45, 0.5), (0.35, 0.4), (0.25, 0.3), (-2.0, -4.5)
VISIBLE = 0.0  # dB near Nyquist above which aliasing is visible
# Steps at the borders of 8x8 blocks, beyond those at any other column, in mean steps.
ALIGNED, ANYWHERE = 0.12, 0.2
REPEATED = 0.4  # share of rows and columns that equal the next one
FLAT, JUMP = 6, 12  # grey levels: at most across a bar, at least from bar to image


def grey(pixels: np.ndarray) -> Grey:
    """uint8 [H W C] to grey levels; of RGBA, the colours alone."""
    if pixels.shape[2] == 1:
        return pixels[..., 0].astype(np.float32)
    return pixels[..., :3].astype(np.float32) @ np.float32(LUMA)


def is_upscaled(image: Grey) -> bool | None:
    """No finest details, or repeated pixels."""
    if min(image.shape) < SMALLEST or np.ptp(image) == 0:
        return None
    if min(_repeated(image), _repeated(image.T)) >= REPEATED:
        return True
    below, edge = _levels(image, BELOW, NYQUIST)
    if below < ROUNDING + LOSS:
        return None
    return bool(below - edge >= LOSS)


def is_aliased(image: Grey) -> bool | None:
    """As much power near Nyquist as further below: shrunk without a low-pass."""
    if min(image.shape) < SMALLEST:
        return None
    edge, near, middle = _levels(image, EDGE, NEAR, MIDDLE)
    if middle < VISIBLE:
        return None
    level = edge >= VISIBLE and edge - near >= LEVEL[0] and edge - middle >= LEVEL[1]
    return bool(level) and not is_blocked(image)


def is_blocked(image: Grey) -> bool | None:
    """Steps every 8 pixels along rows and columns: a JPEG of low quality."""
    if min(image.shape) < 3 * 8 or np.ptp(image) == 0:
        return None
    steps = [_block_steps(image), _block_steps(image.T)]
    aligned = np.mean([at_seven for at_seven, _ in steps])
    anywhere = min(at_best for _, at_best in steps)
    return bool(aligned >= ALIGNED or anywhere >= ANYWHERE)


def is_letterboxed(image: Grey) -> bool | None:
    """Bars of one level at two opposite sides, but not at all four."""
    if min(image.shape) < SMALLEST or np.ptp(image) <= FLAT:
        return None
    return _has_bars(image) != _has_bars(image.T)


def _levels(image: Grey, *bands: tuple[float, float]) -> list[float]:
    """The mean power in each band in dB, at least ROUNDING."""
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
    """By how much the steps right of columns 7, 15, ... exceed those of the other seven
    phases of 8 columns, and by how much the largest phase does.

    Steps that repeat every 2 or 4 columns, as after upscaling, have no largest phase.
    """
    step = np.abs(np.diff(image, axis=1)).mean(axis=0)
    extra = step[1:-1] - (step[:-2] + step[2:]) / 2
    column = 1 + np.arange(len(extra))
    # The median, which one edge in the image does not change.
    lead = np.array([np.median(extra[column % 8 == phase]) for phase in range(8)])
    lead /= step.mean() + 0.25  # a quarter level, against rounding
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
