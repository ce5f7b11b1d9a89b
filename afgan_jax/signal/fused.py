"""The filtered nonlinearity as one Pallas kernel for TPUs: inner maps stay on chip.

A program of the kernel takes one image and a block of channels. It walks down the rows
of the fine grid: a row is a few rows of the input, weighted (vector unit), times a
matrix along the row (matrix unit); the nonlinearity; times a matrix along the row on
the way down. The last rows so made are kept in a ring, and their weighted sum is a row
of the output. The gradient is the same walk: x and the cotangent go up, and the
transposed filters lead down. Only x is kept from the forward pass.

Radial filters are sums of separable ones. Experimental: AFGAN_FORM=filtered=fused, one
device; counted from compiled programs, not yet timed on a TPU.
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


@dataclasses.dataclass(frozen=True)
class _Up:
    """What leads one input up: rows by table, then a matrix a term along the row."""

    starts: np.ndarray  # [Q] first input row of fine row q
    weights: np.ndarray  # [terms Q taps]
    matrices: np.ndarray  # [terms W_fine W_in]


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
    down_matrices = np.stack([banded.matrix(down, 1, x) for _, x in down_terms])
    block = _channel_block(ups, down, channels, dtype)
    ring = -(-taps // step) * step

    def image(size):
        return pl.BlockSpec((1, *size, block), lambda i, c: (i, 0, 0, c))

    def whole(a):
        return pl.BlockSpec(a.shape, lambda i, c: (0,) * a.ndim)

    operands, specs = [], []
    for side, spec, array in zip(sides, ups, arrays, strict=True):
        matrices = jnp.asarray(side.matrices, dtype)
        operands += [array, jnp.asarray(side.starts), jnp.asarray(side.weights)]
        operands += [matrices]
        scalars = [pl.BlockSpec(memory_space=pltpu.SMEM)] * 2
        specs += [image(spec.size_in), *scalars, whole(matrices)]
    operands.append(jnp.asarray(down_matrices, dtype))
    specs.append(whole(down_matrices))
    kernel = functools.partial(
        _kernel,
        combine=combine,
        shapes=[side.weights.shape for side in sides],
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


def _kernel(*refs, combine, shapes, row_taps, step, precision):
    *inputs, down_matrices, y, ring = refs
    sides = [inputs[i : i + 4] for i in range(0, len(inputs), 4)]
    taps, size = len(row_taps[0]), ring.shape[1]

    def times(matrix, row):
        row = row.astype(matrix.dtype)
        return jnp.dot(
            matrix, row, precision=precision, preferred_element_type=jnp.float32
        )

    def fine_row(q, side, shape):
        x, starts, weights, matrices = side
        total = None
        for t in range(shape[0]):
            row = sum(
                weights[t, q, i] * x[0, starts[q] + i].astype(jnp.float32)
                for i in range(shape[2])
            )
            part = times(matrices[t], row)
            total = part if total is None else total + part
        return total

    def make_row(q):
        fine = combine(*(fine_row(q, *pair) for pair in zip(sides, shapes)))
        for t in range(len(row_taps)):
            ring[t, jax.lax.rem(q, size)] = times(down_matrices[t], fine)

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
        np.stack([banded.matrix(spec, 1, x) for _, x in terms]),
    )


def _channel_block(ups, down, channels: int, dtype) -> int:
    """Channels a program takes, so that its images fit on chip twice.

    Raises ValueError if not even one register's width of them does.
    """
    pixels = sum(math.prod(spec.size_in) for spec in ups) + math.prod(down.size_out)
    for block in (2 * LANES, LANES):
        if 2 * pixels * block * jnp.dtype(dtype).itemsize <= 0.8 * VMEM_BYTES:
            return channels if channels <= block else block
    raise ValueError(
        f"an image of {down.size_out[0]}x{down.size_out[1]} is too large for the fused"
        " kernel in this precision: use another form of `filtered`"
    )
