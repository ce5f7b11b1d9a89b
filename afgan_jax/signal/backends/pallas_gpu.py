"""The filtered nonlinearity as one Pallas kernel for NVIDIA GPUs, Hopper and newer.

A program takes an image, CHANNELS channels, a strip of columns and a chunk of rows (see
pallas_gpu_plan.py) and walks down the fine grid, a group of rows a round. A fine row is
a weighted sum of a few rows of the input (ordinary cores) times a banded matrix (tensor
cores). The nonlinearity of it, times another banded matrix, is added to the outputs
that depend on it, which stay in registers until they are complete. The gradient does
the same with x and the cotangent as inputs and transposed filters. Only x is kept from
the forward pass, and the copy engine makes the zeros around the image.

Not the default: estimated from compiled programs, not timed on a GPU. Choose it with
updates.implementation=pallas.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from afgan_jax.signal.backends import pallas_gpu_feed as feeds
from afgan_jax.signal.backends import pallas_gpu_function as functions
from afgan_jax.signal.backends import pallas_gpu_plan as plans
from afgan_jax.signal.backends import pallas_gpu_units as units
from afgan_jax.signal.operators import FilteredActivation

CHANNELS, TILE, WIDTH = plans.CHANNELS, plans.TILE, plans.WIDTH


def filtered(op: FilteredActivation, x: jax.Array) -> jax.Array:
    """op.down(activation(op.up(x))), [N H W C] -> [N H2 W2 C]."""
    return _on_platform([op.up], op.activation, op.down, x)


def filtered_vjp(op: FilteredActivation, x: jax.Array, ct: jax.Array) -> jax.Array:
    """The gradient for x given that of the output, ct."""

    def combine(fine, fine_ct):
        return jax.vjp(op.activation, fine)[1](fine_ct)[0]

    ups = [op.up, op.down.transposed()]
    return _on_platform(ups, combine, op.up.transposed(), x, ct)


def is_supported(op: FilteredActivation, dtype) -> bool:
    """Whether the card in use, or described, can run both passes for such arrays."""
    card, down = units.generation(), op.down.transposed()
    if card is None or jnp.dtype(dtype).itemsize != 2:
        return False
    if not functions.is_known(op.activation):
        return False
    passes = [([op.up], op.down), ([op.up, down], op.up.transposed())]
    found = [plans.supported(*specs, _tolerance(dtype)) for specs in passes]
    return all(p is not None and units.suits(card, p.batch) for p in found)


def _tolerance(dtype) -> float:
    return 1e-7 if dtype == jnp.float32 else 1e-3


def _on_platform(ups, combine, down, *arrays) -> jax.Array:
    """Compiled for a GPU, interpreted on a CPU, for tests; other platforms fail."""
    run = functools.partial(_run, ups, combine, down)
    interpreted = functools.partial(run, interpret=True)
    if units.generation() is None:
        return interpreted(*arrays)
    compiled = functools.partial(run, interpret=False)
    if units.generation() == "simulated":
        return compiled(*arrays)
    return jax.lax.platform_dependent(*arrays, cuda=compiled, cpu=interpreted)


def _run(ups, combine, down, *arrays, interpret: bool) -> jax.Array:
    """down(combine(up(array), ...)), with `ups` resamplings to one fine grid."""
    dtype, (n, _, _, channels) = arrays[0].dtype, arrays[0].shape
    blocks = -(-channels // CHANNELS)
    unit = units.make_units(dtype, interpret)
    plan = plans.make_plan(ups, down, _tolerance(dtype), n * blocks, unit.cores)
    extra = blocks * CHANNELS - channels
    arrays = [jnp.pad(a, ((0, 0),) * 3 + ((0, extra),)) for a in arrays]
    if unit.has_margins:  # no zeros are made outside
        arrays = [feeds.with_margins(plan, i, a) for i, a in zip(plan.inputs, arrays)]
    # Not one block: Mosaic has another copy for whole rows, which fails in JAX 0.10.
    wide = max(blocks, 2) * CHANNELS
    y = unit.kernel(
        functools.partial(_kernel, combine=combine, plan=plan, unit=unit),
        out=jax.ShapeDtypeStruct((n, *down.size_out, wide), dtype),
        grid=(n, blocks, len(plan.starts), plan.chunks),
        scratch=_scratch(plan, unit),
    )(*arrays, *(jnp.asarray(m, dtype) for m in _matrices(plan)))
    return y[..., :channels]


def _matrices(plan: plans.Plan) -> list:
    return [*(i.matrices for i in plan.inputs), plan.down]


def _scratch(plan: plans.Plan, unit) -> list:
    rows, group = plan.rows, plan.rows.group * CHANNELS
    products = len(plan.inputs) * plan.tiles + len(plan.taps)
    return [
        [unit.plain((i.slots, WIDTH, CHANNELS)) for i in plan.inputs],
        [unit.operand((len(i.rows.weights), WIDTH, group)) for i in plan.inputs],
        [unit.operand(m.shape[1:]) for m in _matrices(plan)],
        unit.operand((plan.fine, plan.batch * CHANNELS)),
        unit.plain((rows.each, TILE, CHANNELS)),
        [unit.barriers(i.slots) for i in plan.inputs],
        unit.barriers(len(plan.inputs) + 1),
        unit.products(products, plan.batch * CHANNELS),
    ]


def _kernel(*refs, combine, plan: plans.Plan, unit):
    """One program: rounds of plan.rows, with outputs in registers from one to the next.

    What a round completes is written by the next one, so that those registers are free.
    """
    count = len(plan.inputs)
    xs, matrices, y = refs[:count], refs[count : 2 * count + 1], refs[2 * count + 1]
    slots, lines, bands, fine, out, arrived, loaded, products = refs[2 * count + 2 :]
    n, c, s, r = map(unit.index, units.AXES)
    channel = c * CHANNELS
    for k, (matrix, band) in enumerate(zip(matrices, bands)):
        unit.fetch(matrix.at[s], band, loaded.at[k])
    inputs = [
        feeds.Feed(unit, plan, i, x, slot, line, arrive, (n, channel, s, r))
        for i, x, slot, line, arrive in zip(plan.inputs, xs, slots, lines, arrived)
    ]
    for feed in inputs:
        feed.start()
    for k in range(count + 1):
        unit.wait(loaded.at[k])
    height = plan.rows.outputs * plan.rows.step  # fine rows from chunk to chunk

    def store(g):
        """Begin the copies of what round g - 1 has completed."""
        place = (
            pl.ds(feeds.pick(plan.starts, s), plan.columns),
            pl.ds(channel, CHANNELS),
        )
        for j in range(plan.rows.each):
            o = (g - 1 - plan.rounds) * plan.rows.each + plan.rows.outputs + j
            row = r * plan.rows.outputs + o
            source = out.at[j, pl.ds(0, plan.columns)]
            copy = functools.partial(unit.store, source, y.at[n, row, *place])
            pl.when((o >= 0) & (row < y.shape[1]))(copy)

    def work(g, totals):
        for feed in inputs:
            feed.weigh(g)
        _write(unit, out, totals[: plan.rows.each])
        store(g)
        for feed in inputs:
            feed.fetch_ahead(g)
        first = g * plan.rows.group + plan.rows.first + r * height
        totals = [*totals[plan.rows.each :], *([None] * plan.rows.each)]
        for b in range(plan.rows.group // plan.batch):
            if b:  # all threads are done with the last batch
                unit.commit()
            _multiply_up(plan, unit, b, combine, lines, bands, fine, products)
            unit.commit()
            _multiply_down(plan, unit, b, first, bands, fine, products, totals)
        return tuple(totals)

    totals = tuple(unit.zeros((TILE, CHANNELS)) for _ in range(plan.pending))
    totals = jax.lax.fori_loop(0, plan.rounds, work, totals)
    _write(unit, out, totals[: plan.rows.each])
    store(plan.rounds)
    unit.finish()


def _write(unit, out, rows) -> None:
    """out [rows TILE C], for copies to begin with."""
    unit.drain()
    for j, row in enumerate(rows):
        unit.put(out.at[j], row.astype(out.dtype))
    unit.commit()


def _multiply_up(plan, unit, b: int, combine, lines, bands, fine, products) -> None:
    """fine [columns rows*C]: batch b of the fine rows, after the nonlinearity."""
    rows = pl.ds(b * plan.batch * CHANNELS, plan.batch * CHANNELS)
    combine = functions.without_rules(combine)
    for tile in range(plan.tiles):
        parts = []
        for i, line, band in zip(plan.inputs, lines, bands):
            start, stop = i.depths[tile]
            inside = pl.ds(start, stop - start)
            pairs = []
            for t in range(line.shape[0]):
                columns = pl.ds((t * plan.tiles + tile) * TILE, TILE)
                pairs.append((band.at[columns, inside], line.at[t, inside, rows]))
            number = len(parts) * plan.tiles + tile
            parts.append(unit.product(products, number, pairs))
        fine[pl.ds(tile * TILE, TILE)] = combine(*parts).astype(fine.dtype)


def _multiply_down(plan, unit, b: int, first, bands, fine, products, totals) -> None:
    """Adds to the pending outputs (None is 0) what batch b of fine rows is of them."""
    rows, before = plan.rows, len(plan.inputs) * plan.tiles
    numbers = range(b * plan.batch, (b + 1) * plan.batch)
    for t, taps in enumerate(plan.taps):
        pair = bands[-1].at[pl.ds(t * TILE, TILE)], fine
        found = unit.product(products, before + t, [pair])
        for j in numbers:
            start = (j - numbers[0]) * CHANNELS
            line = found[:, start : start + CHANNELS]
            if plan.is_padded:
                inside = (first + j >= 0) & (first + j < rows.fine)
                line = line * jnp.where(inside, 1.0, 0.0)
            for q in range(plan.pending):
                k = rows.taps - rows.group + j - (q - rows.each + 1) * rows.step
                if 0 <= k < rows.taps:
                    part = line * taps[k]
                    totals[q] = part if totals[q] is None else totals[q] + part
