"""Texture sticking: how much of the detail stays at its pixels while the input moves.

The input moves right by whole pixels u = -reach .. reach. Detail d_u [N H W C] is the
images less a small low-pass filter along rows. Over the columns x that stay inside,

    A = power of mean_u d_u(x)        detail that stays in place
    B = power of mean_u d_u(x + u)    detail that follows the input
    L = power of mean_u d_0(x + u), over the power of d_0: the share of a texture that
        averaging over 2 reach + 1 positions leaves by chance

If a share s of the power of d_0 stays and a share f follows, A = s + L f and
B = f + L s in units of it, so s = (A - L B) / (1 - L^2), f = (B - L A) / (1 - L^2).
The score is s / (s + f): 0 if all detail follows the input, 1 if all of it is stuck.
Other detail, 1 - s - f, counts as neither.

Whole pixels need no interpolation, but do not reveal detail stuck to the pixels of the
image, which repeats with each pixel: this measures layers of lower rates, EQ-T_frac
also those of the full rate.

The figure shows one row of pixels stacked over time: stuck detail makes streaks along
time, detail that follows the input slanted lines.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float64, UInt8

from afgan_jax import errors, jax_settings
from afgan_jax.analysis import image_equivariance
from afgan_jax.metrics import samples as drawing
from afgan_jax.model import Label, Model
from afgan_jax.signal import affine, pixels
from afgan_jax.viz import grid

Images = Float[Array | np.ndarray, "N H W C"]

SHOWN = 256  # pixels; narrower films are enlarged
LOWPASS = np.array([1, 4, 6, 4, 1]) / 16  # halves amplitudes at 6 pixels per cycle


class Shares(NamedTuple):
    """Shares of the power of detail that stay at their pixels and follow the input."""

    stays: float
    follows: float

    @property
    def score(self) -> float:
        """0 if all detail follows the input, 1 if all is stuck."""
        return self.stays / (self.stays + self.follows)


@jax_settings.fixed()
def texture_sticking(
    model: Model,
    samples: int = 16,
    *,
    labels: Label | None = None,
    batch: int = 4,
    reach: int | None = None,
) -> Shares:
    """The shares of a model's samples, whose input moves by up to `reach` pixels.

    labels: as in `samples.of_model`. reach: None for `usual_reach`.
    Raises ValueError for a model whose input cannot be moved.
    """
    image_equivariance.check_moves(model)
    show, ws = _rendering(model, batch), _latents(model, samples, labels)

    def render(numbers, transform):
        transform = jax.device_get(transform)
        moves = np.broadcast_to(transform, (len(numbers), 3, 3))
        return show(ws[numbers], moves)

    batches = np.split(np.arange(samples), range(batch, samples, batch))
    reach = usual_reach(model) if reach is None else reach
    return measure(render, batches, resolution=model.unit, reach=reach)


def usual_reach(model: Model) -> int:
    """The default reach in pixels: 1/8 of the shorter side, at most 16."""
    return min(max(model.unit // 8, 1), 16)


class Film(NamedTuple):
    """{motion: a row of pixels at T times}."""

    lines: dict[str, Float[np.ndarray, "T W C"]]
    row: int


@jax_settings.fixed()
def film(
    model: Model,
    *,
    labels: Label | None = None,
    image: int = 0,
    row: int | None = None,
    frames: int = 64,
    pace: float = 0.25,
    drift: float = 0.0,
    batch: int = 4,
) -> Film:
    """A row of sample `image` while its input moves, and while its w changes.

    row: None for that of most detail. pace: pixels for each line. drift: the fraction
    of the way that w moves to the next sample's; 0 leaves this out. Raises ValueError
    for a row outside the image.
    """
    height = model.size[0]
    if row is not None and not 0 <= row < height:
        why = f"must be below {height}, the image's height"
        raise errors.SettingError("row", row, why)
    show, ws = _rendering(model, batch), _latents(model, image + 2, labels)
    time = np.linspace(-0.5, 0.5, frames)
    moves = np.stack([shift(t * (frames - 1) * pace, model.unit) for t in time])
    still = np.broadcast_to(np.eye(3, dtype=np.float32), moves.shape)
    here, there = ws[image], ws[image + 1]
    stays = np.broadcast_to(here, (frames, *here.shape))
    if row is None:
        row = most_detailed_row(show(stays[:1], still[:1])[0])
    lines = {"the input moves": show(stays, moves, row)}
    if drift:
        part = drift * (time + 0.5)[:, None, None].astype(np.float32)
        lines["w drifts"] = show(here + part * (there - here), still, row)
    return Film(lines, row)


def strip(films: Mapping[str, Film]) -> UInt8[np.ndarray, "_H _W C"]:
    """The films by caption, stacked in an image about SHOWN pixels wide."""
    lines, captions = [], []
    for name, found in films.items():
        images = pixels.to_uint8(np.stack(list(found.lines.values())))
        zoom = max(SHOWN // images.shape[2], 1)
        lines.append(images.repeat(zoom, axis=1).repeat(zoom, axis=2))
        captions.append(f"{name}: {', '.join(found.lines)}; row {found.row}")
    return grid.strip(lines, captions, gap=4)


def _latents(model: Model, count: int, labels) -> Float[np.ndarray, "count L w_dim"]:
    """ws of samples 0, 1, ..."""
    network = drawing.of_model(model, labels)
    with jax.default_matmul_precision("highest"):
        drawn = jax.device_put((network.variables, np.arange(count, dtype=np.int32)))
        return jax.device_get(jax.jit(network.ws)(*drawn))


def _rendering(model: Model, batch: int) -> Callable:
    """show(ws [N L w_dim], transforms [N 3 3], row) -> images [N H W C], or a row."""

    @jax.jit
    def draw(variables, ws, transforms):
        options = {"transform": transforms, "method": "synthesize"}
        return model.apply(variables, ws, **options)

    def show(ws, transforms, row=slice(None)):
        found = []
        for start in range(0, len(ws), batch):
            at = np.arange(start, min(start + batch, len(ws)))
            full = np.resize(at, batch)  # one shape, compiled once
            put = jax.device_put((ws[full], np.asarray(transforms)[full]))
            images = jax.device_get(draw(model.variables, *put))
            found.append(images[: len(at), row])
        return np.concatenate(found)

    return show


def measure(
    render: Callable[[Any, Float[Array, "3 3"]], Images],
    batches: Iterable[Any],
    *,
    resolution: int,
    reach: int,
) -> Shares:
    """The pooled shares of the images `render(batch, transform)` of all batches.

    resolution: pixels in the unit of transforms, the shorter side.
    """
    sums = np.zeros(4)
    for batch in batches:

        def moved(u, batch=batch):
            return render(batch, shift(u, resolution))

        sums += powers(moved, reach)
    return shares(sums)


@jax_settings.transfers()
def shift(pixels: float, resolution: int) -> Float[Array, "3 3"]:
    """The user transform that moves the image right by so many pixels."""
    return affine.user_transform(0.0, pixels / resolution)


def powers(moved: Callable[[int], Images], reach: int) -> Float64[np.ndarray, "4"]:
    """(A, B, L times the power of d_0, that power), summed over images and pixels.

    moved(u): the images with the input moved right by u pixels. Raises ValueError if no
    column stays inside.
    """
    still = detail(moved(0))
    columns = still.shape[2] - 2 * reach
    if reach < 1 or columns < 1:
        most = (still.shape[2] - 1) // 2
        why = f"leaves no column inside: use 1 to {most} pixels"
        raise errors.SettingError("reach", reach, why)
    stays = follows = chance = 0.0
    for u in range(-reach, reach + 1):
        d = still if u == 0 else detail(moved(u))
        stays = stays + d[:, :, reach : reach + columns]
        follows = follows + d[:, :, reach + u : reach + u + columns]
        chance = chance + still[:, :, reach + u : reach + u + columns]
    n = 2 * reach + 1
    parts = stays / n, follows / n, chance / n, still[:, :, reach : reach + columns]
    return np.array([np.sum(part**2) for part in parts])


def shares(sums: Float64[np.ndarray, "4"]) -> Shares:
    """The shares from (sums of) `powers`. Raises ValueError if there is no detail."""
    *_, power = sums
    if not power > 0:
        raise ValueError("the images have no detail along their rows")
    A, B, L = sums[:3] / power
    if not A + B > 0:
        raise ValueError("no detail stays at its pixels or follows the input")
    # Negative only by rounding and chance.
    stays, follows = max(A - L * B, 0.0), max(B - L * A, 0.0)
    return Shares(float(stays / (1 - L**2)), float(follows / (1 - L**2)))


def detail(images: Images) -> Float64[np.ndarray, "N H _W C"]:
    """Images less their low-pass along rows; 2 columns fewer at each end."""
    x = np.asarray(images, np.float64)
    width = x.shape[2] - len(LOWPASS) + 1
    low = sum(tap * x[:, :, k : k + width] for k, tap in enumerate(LOWPASS))
    return x[:, :, len(LOWPASS) // 2 :][:, :, :width] - low


def most_detailed_row(image: Float[np.ndarray, "H W C"]) -> int:
    """The row of most detail in the middle half of the image."""
    h = len(image)
    energy = np.sum(detail(image[None])[0] ** 2, axis=(1, 2))
    return h // 4 + int(np.argmax(energy[h // 4 : max(3 * h // 4, h // 4 + 1)]))
