"""Resampling as sums of shifted slices: fast on CPUs.

A signal can be stored as P interleaved phases: phase p has samples p, p + P, p + 2P,
... of an axis; a `grid` is [phases_y][phases_x] arrays. In phases, every tap of a
resampling is one multiply-add of a slice, and the zeros of the upsampled signal are
never stored or multiplied.
"""

import functools
import math
import operator

import jax
import jax.numpy as jnp

from afgan_jax.signal import precision
from afgan_jax.signal.operators import Resampling

Grid = list[list[jax.Array]]


def resample(spec: Resampling, x: jax.Array) -> jax.Array:
    """Apply `spec` to images, [N H W C] -> [N H2 W2 C]."""
    # CPUs add half precision slowly.
    return precision.widened(functools.partial(_resample, spec))(x)


def _resample(spec, x):
    phases = tuple(u // math.gcd(u, d) for u, d in zip(spec.up, spec.down))
    return merge(resample_grid(spec, [[x]], phases), spec.size_out)


def resample_grid(
    spec, grid: Grid, phases: tuple[int, int], *, by_axis: bool = False
) -> Grid:
    """Apply `spec` to a grid of phases, returning a grid of `phases` (y, x) phases.

    by_axis: finish one axis before the other, which keeps XLA from recomputing the
    first for every tap of the second.
    """
    if not spec.separable:
        return _resample_2d(spec, grid, phases)
    if spec.up[0] >= spec.down[0]:  # cheaper: upsample last, downsample first
        steps = (_along_y, phases[0]), (_along_x, phases[1])
    else:
        steps = (_along_x, phases[1]), (_along_y, phases[0])
    (first, count), (last, last_count) = steps
    first = functools.partial(first, spec, phases=count)
    grid = separately(first, grid) if by_axis else first(grid)
    return last(spec, grid, last_count)


def separately(fn, *arrays):
    """fn(*arrays), fused with nothing before or after it.

    XLA does not fuse across the branches of a conditional. In a loop this also keeps
    the work out of the write of its result, which uses one core only.
    """
    nothing = jax.tree.map(
        lambda y: jnp.zeros(y.shape, y.dtype), jax.eval_shape(fn, *arrays)
    )
    return jax.lax.cond(stored(jnp.array(True)), fn, lambda *_: nothing, *arrays)


def stored(arrays):
    """The same arrays, not recomputed at every tap that reads them."""
    return jax.lax.optimization_barrier(arrays)


def merge(grid: Grid, size: tuple[int, int]) -> jax.Array:
    """Interleave a grid of phases into the image, of `size`."""
    return interleave([interleave(row, 2, size[1]) for row in grid], 1, size[0])


def interleave(phases: list[jax.Array], axis: int, size: int) -> jax.Array:
    if len(phases) == 1:
        return phases[0]
    length = -(-size // len(phases))
    full = [_pad(p, axis, 0, length - p.shape[axis]) for p in phases]
    shape = list(full[0].shape)
    shape[axis] = length * len(phases)
    stacked = jnp.stack(full, axis + 1).reshape(shape)
    return jax.lax.slice_in_dim(stacked, 0, size, axis=axis)


def _along_y(spec, grid: Grid, phases: int) -> Grid:
    columns = [_resample_1d(spec, 0, list(column), phases) for column in zip(*grid)]
    return [list(row) for row in zip(*columns)]


def _along_x(spec, grid: Grid, phases: int) -> Grid:
    return [_resample_1d(spec, 1, row, phases) for row in grid]


def _resample_1d(spec, axis: int, inputs: list, phases: int) -> list:
    taps = spec.taps[axis]
    plan = [terms_of(spec, axis, len(inputs), r, phases) for r in range(phases)]
    cut = _slicer(plan, [[p] for p in inputs], axis + 1)
    return [
        sum_of(taps[k] * cut(p, 0, q, size, stride) for k, p, q, size, stride in terms)
        for terms in plan
    ]


def _resample_2d(spec, grid: Grid, phases: tuple[int, int]) -> Grid:
    """Non-separable filter; rows with equal taps are added first."""
    plan_y = [terms_of(spec, 0, len(grid), r, phases[0]) for r in range(phases[0])]
    plan_x = [terms_of(spec, 1, len(grid[0]), r, phases[1]) for r in range(phases[1])]
    cut_y = _slicer(plan_y, grid, 1)
    out = []
    for terms_y in plan_y:
        sums = [0.0] * phases[1]
        for k, mirror in _mirrored(spec.taps, [t[0] for t in terms_y]):
            rows = [
                sum_of(
                    cut_y(p, i, q, size, stride)
                    for ky, p, q, size, stride in terms_y
                    if ky in (k, mirror)
                )
                for i in range(len(grid[0]))
            ]
            cut_x = _slicer(plan_x, [[row] for row in rows], 2)
            for rx, terms_x in enumerate(plan_x):
                sums[rx] = sums[rx] + sum_of(
                    spec.taps[k][kx] * cut_x(p, 0, q, size, stride)
                    for kx, p, q, size, stride in terms_x
                )
        out.append(sums)
    return out


def _mirrored(rows, used: list[int]) -> list[tuple[int, int]]:
    """Pairs (k, mirror) of the `used` rows with equal taps; mirror = k if none has."""
    last = len(rows) - 1
    twins = {k for k in used if last - k in used and rows[k] == rows[last - k]}
    pairs = [(k, last - k if k in twins else k) for k in used]
    return [(k, mirror) for k, mirror in pairs if k not in twins or k <= mirror]


def terms_of(spec, axis: int, phases_in: int, r: int, phases_out: int) -> list:
    """(tap, phase, first, count, stride) of each slice that output phase r sums."""
    up, down, lo = spec.up[axis], spec.down[axis], spec.lo[axis]
    step = phases_out * down // up
    assert phases_out * down % up == 0 and step % phases_in == 0
    count = -(-(spec.size_out[axis] - r) // phases_out)
    terms = []
    for k in range(spec.taps_shape[axis]):
        index, off_grid = divmod(r * down + k - lo, up)
        if not off_grid:
            q, p = divmod(index, phases_in)
            terms.append((k, p, q, count, step // phases_in))
    return terms


def _slicer(plan: list, grid: Grid, axis: int):
    """Pad each phase once for all its slices; cut(p, i, first, count, stride)."""
    terms = [t for row in plan for t in row]
    before = max(0, -min((q for _, _, q, _, _ in terms), default=0))
    ends = {}
    for _, p, q, count, stride in terms:
        ends[p] = max(ends.get(p, 0), q + (count - 1) * stride + 1)
    padded = [
        [_pad(x, axis, before, max(0, ends.get(p, 0) - x.shape[axis])) for x in row]
        for p, row in enumerate(grid)
    ]

    def cut(p, i, first, count, stride):
        first += before
        last = first + (count - 1) * stride + 1
        return jax.lax.slice_in_dim(padded[p][i], first, last, stride, axis)

    return cut


def _pad(x: jax.Array, axis: int, lo: int, hi: int) -> jax.Array:
    if lo == 0 and hi == 0:
        return x
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (lo, hi, 0)
    # Fused into the sums that read it, a pad is a select at every tap of every sample:
    # backward passes take 1.5 to 3 times longer.
    return stored(jax.lax.pad(x, jnp.zeros((), x.dtype), pads))


def sum_of(terms) -> jax.Array:
    """Sum at least one term, left to right."""
    return functools.reduce(operator.add, list(terms))
