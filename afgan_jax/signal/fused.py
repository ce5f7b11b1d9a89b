"""The filtered nonlinearity as one Pallas kernel for TPUs: inner maps stay on chip.

A program of the kernel takes one image and a block of channels. It walks down the rows
of the fine grid: a row is a few rows of the input, weighted (vector unit), times a
banded matrix along the row (matrix unit, a block of the band at a time); the
nonlinearity; times a banded matrix along the row on the way down. The last rows so made
are kept in a ring, and their weighted sum is a row of the output. The gradient is the
same walk: x and the cotangent go up, and the transposed filters lead down. Only x is
kept from the forward pass.

Radial filters are sums of separable ones. Not the default: counted from compiled
programs, not yet timed on a TPU. Ask for it with updates.kernel=pallas.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from afgan_jax.signal import banded

VMEM_BYTES = 100 * 2**20  # of the 128 MiB that a core of v5e and v6e has
LANES = 128  # channels side by side in a register
SUBLANES = 16  # rows of a register, in bfloat16: blocks begin at multiples
DEPTH = 128  # samples that a matrix unit sums at a time (v6e: 256)


@dataclasses.dataclass(frozen=True)
class _Band:
    """A banded matrix [terms W_out W_in] as dense blocks that follow one another.

    blocks[i] [terms O_i K_i] makes the next O_i outputs of K_i inputs from first[i] on.
    """

    first: tuple[int, ...]
    blocks: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class _Up:
    """What leads one input up: rows by table, then a banded matrix along the row."""

    starts: np.ndarray  # [Q] first input row of fine row q
    weights: np.ndarray  # [terms Q taps]
    band: _Band


def filtered(op, x: jax.Array) -> jax.Array:
    """op.down(act(op.up(x))) of nonlinearity._Filtered, [N H W C] -> [N H2 W2 C]."""
    return _on_platform([op.up], op.act, op.down, x)


def filtered_vjp(op, x: jax.Array, ct: jax.Array) -> jax.Array:
    """The gradient for x given that of the output, ct."""

    def combine(fine, fine_ct):
        return jax.vjp(op.act, fine)[1](fine_ct)[0]

    ups = [op.up, op.down.transposed()]
    return _on_platform(ups, combine, op.up.transposed(), x, ct)


def _on_platform(ups, combine, down, *arrays) -> jax.Array:
    """Compiled for a TPU; on CPU step by step, for tests. Other platforms refuse."""
    walk = functools.partial(_walk, ups, combine, down)
    return jax.lax.platform_dependent(
        *arrays,
        tpu=functools.partial(walk, interpret=False),
        cpu=functools.partial(walk, interpret=True),
    )


def _walk(ups, combine, down, *arrays, interpret: bool) -> jax.Array:
    """down(combine(up(array), ...)): the resamplings `ups` lead to one fine grid."""
    dtype, (n, _, _, channels) = arrays[0].dtype, arrays[0].shape
    taps, step = down.taps_shape[0], down.down[0]
    count = (down.size_out[0] - 1) * step + taps
    sides = [_make_up(spec, dtype, -down.lo[0], count) for spec in ups]
    down_terms = _terms(down, dtype)
    down_band = _make_band([banded.matrix(down, 1, x) for _, x in down_terms])
    block, buffers = _channel_block(ups, down, channels, dtype)
    ring = -(-taps // step) * step

    def image(size):
        return pl.BlockSpec(
            (1, *size, block),
            lambda i, c: (i, 0, 0, c),
            pipeline_mode=pl.Buffered(buffers),
        )

    def whole(a):
        return pl.BlockSpec(a.shape, lambda i, c: (0,) * a.ndim)

    operands, specs = [], []
    for side, spec, array in zip(sides, ups, arrays, strict=True):
        operands += [array, jnp.asarray(side.starts), jnp.asarray(side.weights)]
        scalars = [pl.BlockSpec(memory_space=pltpu.SMEM)] * 2
        specs += [image(spec.size_in), *scalars]
    bands = [*(side.band for side in sides), down_band]
    for matrix in (m for band in bands for m in band.blocks):
        operands.append(jnp.asarray(matrix, dtype))
        specs.append(whole(matrix))
    kernel = functools.partial(
        _kernel,
        combine=combine,
        shapes=[side.weights.shape for side in sides],
        firsts=[band.first for band in bands],
        row_taps=[y for y, _ in down_terms],
        step=step,
        precision=banded.precision(arrays[0]),
    )
    return pl.pallas_call(
        kernel,
        grid=(n, pl.cdiv(channels, block)),
        in_specs=specs,
        out_specs=image(down.size_out),
        out_shape=jax.ShapeDtypeStruct((n, *down.size_out, channels), dtype),
        scratch_shapes=[
            pltpu.VMEM((len(down_terms), ring, down.size_out[1], block), jnp.float32)
        ],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel"), vmem_limit_bytes=VMEM_BYTES
        ),
        interpret=interpret,
    )(*operands)


def _kernel(*refs, combine, shapes, firsts, row_taps, step, precision):
    *inputs, y, ring = refs
    sides = [inputs[3 * i : 3 * i + 3] for i in range(len(shapes))]
    matrices, bands = inputs[3 * len(shapes) :], []
    for first in firsts:
        bands.append((first, matrices[: len(first)]))
        matrices = matrices[len(first) :]
    taps, size = len(row_taps[0]), ring.shape[1]

    def times(band, t, row):
        """Term t of a band times a row [W_in C], [W_out C]."""
        row = row.astype(band[1][0].dtype)
        parts = [
            jnp.dot(
                matrix[t],
                row[first : first + matrix.shape[2]],
                precision=precision,
                preferred_element_type=jnp.float32,
            )
            for first, matrix in zip(*band)
        ]
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts)

    def fine_row(q, side, band, shape):
        x, starts, weights = side
        total = None
        for t in range(shape[0]):
            row = sum(
                weights[t, q, i] * x[0, starts[q] + i].astype(jnp.float32)
                for i in range(shape[2])
            )
            part = times(band, t, row)
            total = part if total is None else total + part
        return total

    def make_row(q):
        fine = combine(*(fine_row(q, *side) for side in zip(sides, bands, shapes)))
        for t in range(len(row_taps)):
            ring[t, jax.lax.rem(q, size)] = times(bands[-1], t, fine)

    def prologue(q, _):
        make_row(q)

    def body(o, _):
        for j in range(step):
            make_row(o * step + (taps - step + j))
        total = None
        for t, weights in enumerate(row_taps):
            for k, weight in enumerate(weights):
                part = weight * ring[t, jax.lax.rem(o * step + k, size)]
                total = part if total is None else total + part
        y[0, o] = total.astype(y.dtype)

    jax.lax.fori_loop(0, taps - step, prologue, None)
    jax.lax.fori_loop(0, y.shape[1], body, None)


def _terms(spec, dtype) -> list[tuple[tuple[float, ...], np.ndarray]]:
    """(vertical, horizontal) taps of the separable filters that add up to `spec`."""
    tolerance = 1e-7 if dtype == jnp.float32 else 1e-3
    pairs = banded.separable_terms(spec, tolerance)
    return [(tuple(map(float, y)), x) for y, x in pairs]


def _make_up(spec, dtype, first: int, count: int) -> _Up:
    """Tables for the fine rows first .. first + count - 1; zero where there is none."""
    assert spec.down == (1, 1)
    terms = _terms(spec, dtype)
    height, up = spec.size_in[0], spec.up[0]
    taps = min(height, -(-spec.taps_shape[0] // up))
    rows = first + np.arange(count)
    # Tap k of fine row r reads row (r + k - lo) / up of the input.
    lowest = -(-(rows - spec.lo[0]) // up)
    starts = np.clip(lowest, 0, height - taps).astype(np.int32)
    sources = starts[:, None] + np.arange(taps)
    k = sources * up - rows[:, None] + spec.lo[0]
    there = (rows >= 0) & (rows < spec.size_out[0])
    inside = (k >= 0) & (k < spec.taps_shape[0]) & there[:, None]
    k = np.clip(k, 0, spec.taps_shape[0] - 1)
    weights = [np.where(inside, np.asarray(y)[k], 0) for y, _ in terms]
    return _Up(
        starts,
        np.stack(weights).astype(np.float32),
        _make_band([banded.matrix(spec, 1, x) for _, x in terms]),
    )


def _make_band(matrices: list[np.ndarray]) -> _Band:
    """Blocks of at most DEPTH inputs each, if there are more; begun at SUBLANES."""
    whole = np.stack(matrices)
    count, size = whole.shape[1:]
    used = np.abs(whole).max(axis=0) > 0
    low = np.where(used.any(axis=1), used.argmax(axis=1), size)
    high = np.where(used.any(axis=1), size - used[:, ::-1].argmax(axis=1), 0)
    first, blocks, row = [], [], 0
    while row < count:
        best = min(count, row + SUBLANES)
        for end in (*range(row + SUBLANES, count, SUBLANES), count):
            start = low[row:end].min() // SUBLANES * SUBLANES
            if high[row:end].max() - start <= DEPTH or size <= DEPTH:
                best = end
        start = int(min(low[row:best].min(), size - 1)) // SUBLANES * SUBLANES
        start = 0 if size <= DEPTH else start
        stop = min(size, max(start + DEPTH, int(high[row:best].max())))
        first.append(start)
        blocks.append(whole[:, row:best, start:stop])
        row = best
    return _Band(tuple(first), tuple(blocks))


def fits(op, x: jax.Array) -> bool:
    """Whether both passes over an array like x fit on chip."""
    ups, (channels, dtype) = [op.up, op.down.transposed()], (x.shape[-1], x.dtype)
    return _channel_block(ups, op.up.transposed(), channels, dtype) is not None


def _channel_block(ups, down, channels: int, dtype) -> tuple[int, int] | None:
    """(channels a program takes, how often its images are held) that fit on chip.

    Images held twice are moved while others are worked on.
    """
    pixels = sum(math.prod(spec.size_in) for spec in ups) + math.prod(down.size_out)
    for block, buffers in ((2 * LANES, 2), (LANES, 2), (LANES, 1)):
        if buffers * pixels * block * jnp.dtype(dtype).itemsize <= 0.8 * VMEM_BYTES:
            return min(channels, block), buffers
    return None
