"""Resampling as sums of shifted slices, one kernel an axis: for GPUs.

A GPU reads a slice of any stride along height or width as fast as the whole, and caches
what neighbouring pixels share. So a separable filter is two sums of slices, which read
and store every sample once. A radial one has too many taps for that and is a
convolution of blocks of pixels (see blocks.py).
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental import layout

from afgan_jax.signal import precision
from afgan_jax.signal.backends import blocks, polyphase
from afgan_jax.signal.operators import FilteredActivation, Resampling

Store = Callable[[jax.Array], jax.Array]


def resample(
    spec: Resampling, x: jax.Array, *, store: Store = polyphase.stored
) -> jax.Array:
    """Apply `spec` to images, [N H W C] -> [N H2 W2 C].

    store: keeps what it is given in memory; so for the other functions.
    """
    if not spec.separable:
        return blocks.resample(spec, x)
    grows = spec.size_out[0] >= spec.size_in[0]
    first, last = (0, 1) if grows else (1, 0)
    # Stored, or it would be computed anew at every tap of the second.
    return _along(spec, last, store(_along(spec, first, x)))


def filtered(
    op: FilteredActivation, x: jax.Array, *, store: Store = polyphase.stored
) -> jax.Array:
    """op.down(activation(op.up(x))), [N H W C] -> [N H2 W2 C]."""
    if not op.up.separable:
        return blocks.filtered(op, x)
    fine = [op.activation(phase) for phase in _upsampled(op, x, store)]
    fine = _joined(op, fine, x.dtype)
    if not op.down.separable:
        return blocks.resample(op.down, fine)
    return resample(op.down, store(fine), store=store)


def filtered_vjp(
    op: FilteredActivation,
    x: jax.Array,
    ct: jax.Array,
    *,
    store: Store = polyphase.stored,
) -> jax.Array:
    """The gradient for x given that of the output, ct."""
    if not op.up.separable:
        return jax.vjp(functools.partial(blocks.filtered, op), x)[1](ct)[0]
    fine = _upsampled(op, x, store)
    if not op.down.separable:
        slope = [
            jax.vjp(op.activation, phase)[1](jnp.ones_like(phase))[0] for phase in fine
        ]
        return blocks.filtered_vjp_at(op, _joined(op, slope, x.dtype), ct)
    down = op.down.transposed()
    ct = store(_along(down, 0, ct))
    fine = [
        jax.vjp(op.activation, phase)[1](phase_ct)[0]
        for phase, phase_ct in zip(fine, _phases(down, 1, ct, op.phases[1]))
    ]
    fine = _joined(op, fine, x.dtype)
    return resample(op.up.transposed(), store(fine), store=store)


def _upsampled(op: FilteredActivation, x: jax.Array, store: Store) -> list[jax.Array]:
    """The phases along width of op.up(x), in float32 at least."""
    x = store(_along(op.up, 0, x))
    return _phases(op.up, 1, x, op.phases[1])


def _joined(op: FilteredActivation, phases: list[jax.Array], dtype) -> jax.Array:
    return polyphase.interleave(phases, 2, op.up.size_out[1]).astype(dtype)


def in_rows(x: jax.Array) -> jax.Array:
    """`polyphase.stored`, with channels innermost in memory.

    For arrays that a device has whole: of one that devices share, the compiler would
    gather all before it states a layout. Programs with it cannot be exported.
    """
    rows = layout.Layout(major_to_minor=tuple(range(x.ndim)))
    return layout.with_layout_constraint(polyphase.stored(x), rows)


def _along(spec: Resampling, axis: int, x: jax.Array) -> jax.Array:
    """Along one axis; sums are rounded once."""
    count = spec.up[axis] // math.gcd(spec.up[axis], spec.down[axis])
    phases = _phases(spec, axis, x, count)
    return polyphase.interleave(phases, axis + 1, spec.size_out[axis]).astype(x.dtype)


def _phases(spec: Resampling, axis: int, x: jax.Array, count: int) -> list[jax.Array]:
    """Every count-th sample along one axis, from each of the first, in float32.

    All of one length, so that the last may have samples beyond the image.
    """
    length = -(-spec.size_out[axis] // count)
    plan = [polyphase.terms_of(spec, axis, 1, r, count) for r in range(count)]
    plan = [[(k, q, stride) for k, _, q, _, stride in terms] for terms in plan]
    first = min(q for terms in plan for _, q, _ in terms)
    last = max(q + (length - 1) * stride for terms in plan for _, q, stride in terms)
    pads = [(0, 0, 0)] * x.ndim
    pads[axis + 1] = (-first, last + 1 - x.shape[axis + 1], 0)
    padded = jax.lax.pad(x, jnp.zeros((), x.dtype), pads)
    wide = precision.wide(x.dtype)

    def cut(start, stride):
        end = start + (length - 1) * stride + 1
        part = jax.lax.slice_in_dim(padded, start, end, stride, axis + 1)
        return part.astype(wide)

    taps = spec.taps[axis]
    return [
        polyphase.sum_of(taps[k] * cut(q - first, stride) for k, q, stride in terms)
        for terms in plan
    ]
