"""The filtered nonlinearity as one Pallas kernel for TPUs: inner maps stay on chip.

A program of the kernel takes one image and a block of channels and computes the fine
grid row by row (pallas_schedule.py). A fine row is a weighted sum of a few rows of the
input (vector unit) times a banded matrix (matrix unit, a block of the band at a time).
The nonlinearity of it, times another banded matrix, is kept in a ring of rows, whose
weighted sum is a row of the output. The gradient does the same with x and the cotangent
as inputs and transposed filters. Only x is kept from the forward pass.

The stages pass rows on through memory and work on different groups of rows in a round,
so that the compiler can use vector and matrix units at the same time. Not the default:
estimated from compiled programs, not timed on a TPU. Choose it with
updates.implementation=pallas.
"""

import functools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from afgan_jax.signal.backends import banded, pallas_schedule
from afgan_jax.signal.operators import FilteredActivation

VMEM_BYTES = 100 * 2**20  # of the 128 MiB that a core of v5e and v6e has
LANES = 128  # channels side by side in a register
CHUNK = 2 * pallas_schedule.SUBLANES  # samples of a row summed while in registers


def filtered(op: FilteredActivation, x: jax.Array) -> jax.Array:
    """op.down(activation(op.up(x))), [N H W C] -> [N H2 W2 C]."""
    return _on_platform([op.up], op.activation, op.down, x)


def filtered_vjp(op: FilteredActivation, x: jax.Array, ct: jax.Array) -> jax.Array:
    """The gradient for x given that of the output, ct."""

    def combine(fine, fine_ct):
        return jax.vjp(op.activation, fine)[1](fine_ct)[0]

    ups = [op.up, op.down.transposed()]
    return _on_platform(ups, combine, op.up.transposed(), x, ct)


def _on_platform(ups, combine, down, *arrays) -> jax.Array:
    """Compiled for a TPU, interpreted on a CPU, for tests; other platforms fail."""
    run = functools.partial(_run, ups, combine, down)
    return jax.lax.platform_dependent(
        *arrays,
        tpu=functools.partial(run, interpret=False),
        cpu=functools.partial(run, interpret=True),
    )


def _run(ups, combine, down, *arrays, interpret: bool) -> jax.Array:
    """down(combine(up(array), ...)), with `ups` resamplings to one fine grid."""
    dtype, (n, _, _, channels) = arrays[0].dtype, arrays[0].shape
    plan = pallas_schedule.make_schedule(
        ups, down, 1e-7 if dtype == jnp.float32 else 1e-3
    )
    block, buffers = _channel_block(ups, down, channels, dtype)
    group, matrices = plan.rows.group, [m for b in plan.bands for m in b.blocks]
    lines = [(len(u.weights), group, u.band.size_in, block) for u in plan.ups]
    fine = (group, plan.down.size_in, block)
    ring = (len(plan.taps), plan.rows.kept, plan.down.size_out, block)

    def image(size):
        return pl.BlockSpec(
            (1, *size, block),
            lambda i, c: (i, 0, 0, c),
            pipeline_mode=pl.Buffered(buffers),
        )

    def whole(a):
        return pl.BlockSpec(a.shape, lambda i, c: (0,) * a.ndim)

    return pl.pallas_call(
        functools.partial(
            _kernel,
            combine=combine,
            plan=plan,
            precision=banded.precision(arrays[0]),
        ),
        grid=(n, pl.cdiv(channels, block)),
        in_specs=[*(image(spec.size_in) for spec in ups), *map(whole, matrices)],
        out_specs=image(down.size_out),
        out_shape=jax.ShapeDtypeStruct((n, *down.size_out, channels), dtype),
        scratch_shapes=[
            *(pltpu.VMEM(shape, dtype) for shape in (*lines, fine)),
            pltpu.VMEM(ring, jnp.float32),
        ],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel"), vmem_limit_bytes=VMEM_BYTES
        ),
        interpret=interpret,
    )(*arrays, *(jnp.asarray(m, dtype) for m in matrices))


def _kernel(*refs, combine, plan: pallas_schedule.Schedule, precision):
    """Rounds of plan.rows, the last stage first: each reads rows of the last round."""
    rows, xs, refs = plan.rows, refs[: len(plan.ups)], refs[len(plan.ups) :]
    bands = []
    for band in plan.bands:
        bands.append((band.first, refs[: len(band.first)]))
        refs = refs[len(band.first) :]
    y, *lines, fine, ring = refs
    times = functools.partial(_times, precision)

    def slot(r):
        return jax.lax.rem(r - rows.first + 3 * rows.kept, rows.kept)

    def write(o):
        slots = [slot(o * rows.step - rows.lo + k) for k in range(rows.taps)]
        for part in _chunks(y.shape[2]):
            terms = []
            for t, taps in enumerate(plan.taps):
                terms += _weighted(taps, [ring.at[t, k, part] for k in slots])
            total = functools.reduce(operator.add, terms)
            y[0, jnp.maximum(o, 0), part] = total.astype(y.dtype)

    def multiply_down(r, j):
        for t in range(len(plan.taps)):
            line = times(*bands[-1], t, fine.at[j])
            if rows.is_padded:
                line = jnp.where((r >= 0) & (r < rows.fine), line, 0.0)
            ring[t, slot(r)] = line

    def multiply_up(j):
        parts = []
        for line, band in zip(lines, bands):
            terms = [times(*band, t, line.at[t, j]) for t in range(line.shape[0])]
            parts.append(functools.reduce(operator.add, terms))
        fine[j] = combine(*parts).astype(fine.dtype)

    def work(g, _):
        for o in rows.outputs_of(g):
            write(o)
        for j, r in enumerate(rows.rows_of(g - 2)):
            multiply_down(r, j)
        for j in range(rows.group):
            multiply_up(j)
        for up, x, line in zip(plan.ups, xs, lines):
            _weigh(up, g, x, line)

    jax.lax.fori_loop(0, rows.rounds, work, None)


def _times(precision, firsts, blocks, t: int, row) -> jax.Array:
    """Term t of a band times a row [W_in C], [W_out C]."""
    parts = [
        jnp.dot(
            block[t],
            row[first : first + block.shape[2]],
            precision=precision,
            preferred_element_type=jnp.float32,
        )
        for first, block in zip(firsts, blocks)
    ]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts)


def _weigh(up: pallas_schedule.Up, g, x, line) -> None:
    """line [terms rows W C]: the weighted rows of x [1 H W C] for group g."""
    numbers = [g * up.stride + up.first + i for i in range(up.count)]
    for part in _chunks(x.shape[2]):
        rows = []
        for n in numbers:
            row = x[0, jnp.clip(n, 0, up.height - 1), part].astype(jnp.float32)
            rows.append(jnp.where((n >= 0) & (n < up.height), row, 0.0))
        extra = -rows[0].shape[0] % pallas_schedule.SUBLANES
        whole = slice(part.start, part.stop + extra)
        for t, term in enumerate(up.weights):
            for j, weights in enumerate(term):
                row = sum(weight * rows[i] for i, weight in weights)
                row = jnp.pad(row, ((0, extra), (0, 0)))
                line[t, j, whole] = row.astype(line.dtype)


def _weighted(taps, rows) -> list[jax.Array]:
    """Terms of sum_k taps[k] rows[k]; rows with equal taps are added first."""
    last = len(taps) - 1
    if not np.allclose(taps, taps[::-1], rtol=0, atol=1e-9 * max(map(abs, taps))):
        return [tap * row[...] for tap, row in zip(taps, rows)]
    pairs = [(k, last - k) for k in range((last + 1) // 2)]
    parts = [taps[k] * (rows[k][...] + rows[m][...]) for k, m in pairs]
    return parts if last % 2 else [*parts, taps[last // 2] * rows[last // 2][...]]


def _chunks(size: int) -> list[slice]:
    return [slice(i, min(i + CHUNK, size)) for i in range(0, size, CHUNK)]


def is_supported(op: FilteredActivation, channels: int, dtype) -> bool:
    """Whether the chip can hold both passes for such an array."""
    ups = [op.up, op.down.transposed()]
    return _channel_block(ups, op.up.transposed(), channels, dtype) is not None


def _channel_block(ups, down, channels: int, dtype) -> tuple[int, int] | None:
    """(channels of a program, buffers of an image), None if the chip cannot hold any.

    With two buffers, an image is transferred while another is computed.
    """
    pixels = sum(math.prod(spec.size_in) for spec in ups) + math.prod(down.size_out)
    for block, buffers in ((2 * LANES, 2), (LANES, 2), (LANES, 1)):
        if buffers * pixels * block * jnp.dtype(dtype).itemsize <= 0.8 * VMEM_BYTES:
            return min(channels, block), buffers
    return None
