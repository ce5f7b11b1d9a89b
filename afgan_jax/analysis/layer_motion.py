"""How exactly the feature maps of every layer follow a motion of the input, in dB.

A layer's map is a signal sampled at `rate` samples per shorter side. When the image
moves, map'(p) = map(T p) should hold at every point p, with the user transform T of
`signal.affine`. Both sides are interpolated at random points by one isotropic filter
h(r) of RADIUS samples. Its gain is below half at a quarter of the rate and -88 dB from
Nyquist on, so that interpolation is exact. Points stay clear of the border: half of the
margin is never read. For each layer, over all latents,

    dB = 10 log10(sum of (map - its mean)^2 / sum of (map' - map(T))^2)

which does not depend on the layer's scale. Motions are fractions of a sample in all
layers: a shift by whole samples would hide the aliases of a layer's own decimation.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64
from scipy import special

from afgan_jax import jax_settings
from afgan_jax.signal import affine, filters

Maps = Float[Array, "N H W C"]
Render = Callable[[Any, Array, Float[Array, "3 3"]], Sequence[Maps]]

KINDS = ("shift", "turn")
RADIUS = 6  # samples
POINTS = 128  # of each batch and motion
MAX_SHIFT = 0.125  # of the canvas
LEAK = 6.0  # dB: twice the error


class Layer(NamedTuple):
    """A layer's design; `attenuation` of its down filter in dB, inf without one."""

    name: str
    rate: float
    size: tuple[int, int]
    attenuation: float


def measure(
    render: Render,
    variables: Any,
    layers: Sequence[Layer],
    *,
    num_samples: int,
    batch_size: int,
    seed: int,
) -> dict[str, Float64[np.ndarray, " layers"]]:
    """dB of each layer by kind of motion; each batch has its own motions.

    `render(variables, numbers, transform)` returns the maps of all `layers`, in order,
    of samples by number. num_samples is rounded up to whole batches. dB are NaN for
    maps of zeros, and for layers too small for a point clear of the border. Raises
    ValueError if all layers are too small, and for maps that are not finite.
    """
    reach = _reach(layers)
    rng = np.random.default_rng(seed)
    sums = 0.0
    step = jax.jit(lambda *draws: _sums(render, layers, *draws))
    variables = jax.device_put(variables)
    for start in range(0, num_samples, batch_size):
        numbers = np.arange(start, start + batch_size, dtype=np.int32)
        drawn = jax.device_put((numbers, *_draw(rng, reach)))
        found = jax.device_get(step(variables, *drawn))
        sums = sums + np.float64(found)  # [kinds layers 2]
    finite = np.isfinite(sums).all(axis=(0, 2))
    if not finite.all():
        name = layers[int(np.argmin(finite))].name
        raise ValueError(
            f"the map of layer {name} is not finite, as the training diverged: use an"
            " earlier checkpoint"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = 10 * np.log10(sums[..., 1] / sums[..., 0])
    return dict(zip(KINDS, decibels))


def drops(
    decibels: Float64[np.ndarray, " layers"], layers: Sequence[Layer]
) -> Float64[np.ndarray, " layers"]:
    """dB by which each layer falls below both its predecessor and its attenuation.

    A layer can be no better than its input, nor than its filter. The first has 0.
    """
    design = np.array([layer.attenuation for layer in layers[1:]])
    return np.append(0.0, np.minimum(decibels[:-1], design) - decibels[1:])


def leaking(
    isolated: dict[str, Float64[np.ndarray, " layers"]],
    designed: dict[str, Float64[np.ndarray, " layers"]],
    layers: Sequence[Layer],
) -> str | None:
    """The name of the layer that falls furthest below its design in any motion.

    isolated: the layers, each given exact signals. designed: the same with the filters
    of the paper. None if no layer loses LEAK dB.
    """
    with np.errstate(invalid="ignore"):
        lost = np.stack([designed[kind] - isolated[kind] for kind in KINDS])
    lost = np.nan_to_num(lost).max(axis=0)  # NaN, of maps of zeros: no loss
    worst = int(np.argmax(lost))
    return layers[worst].name if lost[worst] >= LEAK else None


def look_up(
    maps: Maps,
    points: Float[Array, "P 2"],
    rate: float,
    h: Float[np.ndarray, "2 k"] | None = None,
) -> Float[Array, "N P C"]:
    """Low-pass filtered maps at points (x, y), in shorter sides from the centre.

    h: a filter of `radial_filter`, None for that of this module. What it reads beyond
    the border is undefined.
    """
    height, width = maps.shape[1:3]
    centre = jnp.float32([width - 1, height - 1]) / 2
    grid, table = _FILTER if h is None else h
    radius = round(float(grid[-1]))

    def at(point):
        x, y = point * rate + centre
        cols, rows = (
            jnp.floor(v).astype(jnp.int32)
            + jnp.arange(1 - radius, radius + 1, dtype=jnp.int32)
            for v in (x, y)
        )
        offsets = (rows[:, None].astype(y.dtype) - y, cols[None].astype(x.dtype) - x)
        distances = jnp.hypot(*offsets)
        weights = jnp.interp(distances, grid, table, right=0.0)
        weights = weights / jnp.sum(weights)  # a flat map stays flat
        near = maps[:, rows[:, None], cols[None]]  # [N taps taps C]
        return jnp.einsum("nyxc,yx->nc", near, weights, precision="highest")

    return jnp.moveaxis(jax.lax.map(at, points, batch_size=16), 0, 1)


def _sums(render, layers, variables, numbers, transforms, points):
    """(squared error, power) sums [kinds layers 2] of a batch."""
    all_maps = jax.lax.map(lambda t: render(variables, numbers, t), transforms)
    sources = points @ jnp.swapaxes(transforms[1:], 1, 2)
    # Unmoved maps where the moved ones look, and moved maps.
    places = jnp.stack([sources, points])[..., :2]  # [2 kinds P 2]
    moved = np.arange(1, 1 + len(KINDS), dtype=np.int32)
    which = jnp.stack([np.zeros_like(moved), moved])

    def sums(layer, maps):
        expected, moved = jax.lax.map(
            lambda draw: look_up(maps[draw[0]], draw[1], layer.rate),
            (which.reshape(-1), places.reshape(-1, *places.shape[2:])),
        ).reshape(2, len(KINDS), len(maps[0]), POINTS, -1)
        contrast = expected - jnp.mean(expected, axis=2, keepdims=True)
        totals = [jnp.sum(x**2, axis=(1, 2, 3)) for x in (moved - expected, contrast)]
        return jnp.stack(totals, axis=-1)

    found = [
        sums(layer, maps)
        if _span(layer) > 0
        else jnp.zeros((len(KINDS), 2), jnp.float32)
        for layer, maps in zip(layers, all_maps, strict=True)
    ]
    return jnp.stack(found, axis=1)


def _draw(rng, reach: float):
    """Transforms [1 + kinds, 3 3], the first the identity, and points [kinds P 3]."""
    limit = min(MAX_SHIFT, reach / 2)
    shift = rng.uniform(-limit, limit, size=2)
    angle = rng.uniform(-np.pi, np.pi)
    with jax_settings.transfers():
        transforms = [
            affine.translation(0.0, 0.0),
            affine.user_transform(0.0, *np.float32(shift)),
            affine.user_transform(np.float32(angle)),
        ]
    square = rng.uniform(limit - reach, reach - limit, size=(POINTS, 2))
    radius = reach * np.sqrt(rng.random(POINTS))
    phase = rng.uniform(0, 2 * np.pi, POINTS)
    disc = radius[:, None] * np.stack([np.cos(phase), np.sin(phase)], axis=1)
    points = np.stack([square, disc])
    points = np.append(points, np.ones((*points.shape[:2], 1)), axis=2)
    return np.stack(jax.device_get(transforms)), np.float32(points)


def _reach(layers) -> float:
    """The largest distance of a point from the centre, in shorter sides."""
    spans = [_span(layer) for layer in layers]
    if max(spans) <= 0:
        best = layers[int(np.argmax(spans))]
        raise ValueError(
            f"the largest maps, of layer {best.name}, have {best.size} samples: too few"
            f" for points {RADIUS} samples clear of the border. Use a generator of"
            " larger resolution or margin"
        )
    return min(span for span in (*spans, 0.5) if span > 0)


def _span(layer: Layer) -> float:
    """The same for one layer."""
    length = min(layer.size)
    margin = (length - layer.rate) / 2
    return (length / 2 - margin / 2 - RADIUS - 1) / layer.rate


def radial_filter(
    radius: int, cutoff: float, half_width: float
) -> Float[np.ndarray, "2 k"]:
    """h(r) as a table of r and h: jinc under a Kaiser window, cut at r = radius.

    r in samples, cutoff and half width of the transition band in cycles per sample. The
    scale is free: `look_up` divides by the sum.
    """
    r = np.linspace(0, radius, 1000 * radius + 1)
    attenuation = filters.kaiser_attenuation(2 * radius, half_width, 1.0)
    beta = filters.kaiser_beta(attenuation)
    window = special.i0(beta * np.sqrt(1 - (r / radius) ** 2)) / special.i0(beta)
    jinc = cutoff * special.j1(2 * np.pi * cutoff * r[1:]) / r[1:]
    return np.float32([r, np.append(np.pi * cutoff**2, jinc) * window])


_FILTER = radial_filter(RADIUS, 0.25, 0.25)
