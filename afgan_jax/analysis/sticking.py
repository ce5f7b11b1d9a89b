"""Texture sticking: how much of the detail stays at its pixels while the input moves.

The input moves right by whole pixels u = -reach .. reach. Detail d_u [N H W C] is what
a small low-pass along rows takes away. Over the columns x that stay inside,

    A = power of mean_u d_u(x)        what stays where it is
    B = power of mean_u d_u(x + u)    what follows the input
    L = power of mean_u d_0(x + u), over the power of d_0: what averaging over
        2 reach + 1 places leaves of a texture by chance

If a share s of the power of d_0 stays and a share f follows, A = s + L f and
B = f + L s in units of it, whence s = (A - L B) / (1 - L^2), f = (B - L A) / (1 - L^2),
and the score is s / (s + f). 0: all detail follows the input; 1: all of it is stuck.
Detail that does neither, the rest of 1, counts to neither.

Whole pixels need no interpolation, but what sticks to the pixels of the image itself
they cannot tell, as that repeats with every pixel: layers at lower rates are seen,
those at the full rate are not (EQ-T_frac sees them).

The figure of it is one row of pixels, stacked over time: stuck detail shows as streaks
along time, detail that follows as slanted hair.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float64, UInt8

from afgan_jax import errors
from afgan_jax.analysis import image_equivariance
from afgan_jax.metrics import samples as drawing
from afgan_jax.model import Label, Model
from afgan_jax.signal import affine, pixels
from afgan_jax.viz import grid

Images = Float[Array | np.ndarray, "N H W C"]

SHOWN = 256  # pixels; narrower films are enlarged
LOWPASS = np.array([1, 4, 6, 4, 1]) / 16  # takes half the amplitude at 6 pixels a cycle


class Shares(NamedTuple):
    """Of the power of detail, what stays at its pixels and what follows the input."""

    stays: float
    follows: float

    @property
    def score(self) -> float:
        """0: all follows; 1: all is stuck."""
        return self.stays / (self.stays + self.follows)


def texture_sticking(
    model: Model,
    samples: int = 16,
    *,
    labels: Label | Float[np.ndarray, "M c_dim"] | None = None,
    batch: int = 4,
    reach: int | None = None,
) -> Shares:
    """The shares of a model's samples, whose input moves by up to `reach` pixels.

    reach: None for 1/8 of the width, 16 at most. labels: one for all samples, or rows
    to draw from. Raises ValueError for a model whose input cannot be moved.
    """
    image_equivariance.check_moves(model)
    show, ws = _rendering(model, batch), _latents(model, samples, labels)

    def render(numbers, transform):
        moves = np.broadcast_to(transform, (len(numbers), 3, 3))
        return show(ws[numbers], moves)

    batches = np.split(np.arange(samples), range(batch, samples, batch))
    reach = usual_reach(model) if reach is None else reach
    return measure(render, batches, resolution=model.resolution, reach=reach)


def usual_reach(model: Model) -> int:
    """The pixels moved either way where nothing else is asked for."""
    return min(max(model.resolution // 8, 1), 16)


class Film(NamedTuple):
    """One row of pixels, line by line a moment later, by what moves: {name: lines}."""

    lines: dict[str, Float[np.ndarray, "T W C"]]
    row: int


def film(
    model: Model,
    *,
    labels: Label | Float[np.ndarray, "M c_dim"] | None = None,
    image: int = 0,
    row: int | None = None,
    frames: int = 64,
    pace: float = 0.25,
    drift: float = 0.0,
    batch: int = 4,
) -> Film:
    """A row of sample `image` while its input moves, and while w drifts.

    row: None for that of most detail. pace: pixels a line. drift: by what part w goes
    to that of the next sample; 0 leaves this out. Raises ValueError for a row that the
    image does not have.
    """
    if row is not None and not 0 <= row < model.resolution:
        why = f"must be below {model.resolution}, the image's height"
        raise errors.SettingError("row", row, why)
    show, ws = _rendering(model, batch), _latents(model, image + 2, labels)
    time = np.linspace(-0.5, 0.5, frames)
    moves = np.stack([shift(t * (frames - 1) * pace, model.resolution) for t in time])
    still = np.broadcast_to(np.eye(3, dtype=np.float32), moves.shape)
    here, there = ws[image], ws[image + 1]
    stays = np.broadcast_to(here, (frames, *here.shape))
    if row is None:
        row = liveliest_row(show(stays[:1], still[:1])[0])
    lines = {"the input moves": show(stays, moves, row)}
    if drift:
        part = drift * (time + 0.5)[:, None, None].astype(np.float32)
        lines["w drifts"] = show(here + part * (there - here), still, row)
    return Film(lines, row)


def strip(films: Mapping[str, Film]) -> UInt8[np.ndarray, "_H _W C"]:
    """The films by caption, one below the other, as an image of about SHOWN pixels."""
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

    @jax.jit
    @jax.default_matmul_precision("highest")
    def found(variables, numbers):
        z, _, c = network.pairs(variables, numbers)
        return network.mapping(variables, z, c)

    return np.asarray(found(network.variables, np.arange(count)))


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
            images = draw(model.variables, ws[full], np.asarray(transforms)[full])
            found.append(np.asarray(images)[: len(at), row])
        return np.concatenate(found)

    return show


def measure(
    render: Callable[[Any, Float[Array, "3 3"]], Images],
    batches: Iterable[Any],
    *,
    resolution: int,
    reach: int,
) -> Shares:
    """The shares of all images that `render(batch, transform)` gives, pooled.

    `resolution` is the number of pixels in a canvas width, the unit of transforms.
    """
    sums = np.zeros(4)
    for batch in batches:

        def moved(u, batch=batch):
            return render(batch, shift(u, resolution))

        sums += powers(moved, reach)
    return shares(sums)


def shift(pixels: float, resolution: int) -> Float[Array, "3 3"]:
    """The user transform that moves the image to the right."""
    return affine.user_transform(0.0, pixels / resolution)


def powers(moved: Callable[[int], Images], reach: int) -> Float64[np.ndarray, "4"]:
    """(A, B, L times the power of d_0, that power), sums over images and pixels.

    `moved(u)` are the images whose input moved right by u pixels. Raises ValueError if
    no column stays inside.
    """
    still = detail(moved(0))
    columns = still.shape[2] - 2 * reach
    if reach < 1 or columns < 1:
        most = (still.shape[2] - 1) // 2
        why = f"does not fit: use 1 to {most} pixels, so that columns stay inside"
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
    """What `powers`, or sums of them, say. Raises ValueError if there is no detail."""
    *_, power = sums
    if not power > 0:
        raise ValueError("the images have no detail along their rows")
    A, B, L = sums[:3] / power
    if not A + B > 0:
        raise ValueError("no detail stays at its pixels or follows the input")
    # Below 0 by rounding and chance only.
    stays, follows = max(A - L * B, 0.0), max(B - L * A, 0.0)
    return Shares(float(stays / (1 - L**2)), float(follows / (1 - L**2)))


def detail(images: Images) -> Float64[np.ndarray, "N H _W C"]:
    """Images less what a low-pass along rows keeps; 2 columns fewer at either end."""
    x = np.asarray(images, np.float64)
    width = x.shape[2] - len(LOWPASS) + 1
    low = sum(tap * x[:, :, k : k + width] for k, tap in enumerate(LOWPASS))
    return x[:, :, len(LOWPASS) // 2 :][:, :, :width] - low


def liveliest_row(image: Float[np.ndarray, "H W C"]) -> int:
    """The row with most detail, of the middle half."""
    h = len(image)
    energy = np.sum(detail(image[None])[0] ** 2, axis=(1, 2))
    return h // 4 + int(np.argmax(energy[h // 4 : max(3 * h // 4, h // 4 + 1)]))
