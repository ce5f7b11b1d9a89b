"""The filtered nonlinearity as sums of slices, chunk by chunk: for CPUs.

The fine signal is stored as phases (see polyphase.py) and never interleaved. Images too
large for the caches are computed a few samples and channels at a time.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from afgan_jax.signal import precision
from afgan_jax.signal.backends import polyphase
from afgan_jax.signal.operators import FilteredActivation

# Bytes of x above which a CPU is faster in chunks, which its caches hold.
_CHUNK_BYTES = 500_000
_LANES = 16  # channels in a vector register


def _in_chunks(whole: Callable) -> Callable:
    """whole(op, *arrays) by chunks of samples and channels in turn, if x is large."""
    return functools.wraps(whole)(functools.partial(_run_in_chunks, whole))


def _run_in_chunks(whole: Callable, op: FilteredActivation, *arrays: jax.Array):
    fn = precision.widened(functools.partial(whole, op))
    n, h, w, c = arrays[0].shape
    image = h * w * max(arrays[0].dtype.itemsize, 4)
    if n * c * image <= _CHUNK_BYTES:
        return fn(*arrays)
    channels = min(c, max(1, _CHUNK_BYTES // image // _LANES) * _LANES)
    count = -(-c // channels)
    counts = [d for d in range(1, n + 1) if n % d == 0]
    counts = [d for d in counts if d * channels * image <= _CHUNK_BYTES]
    samples = max(counts, default=1)

    def add_chunk(i, y):
        # If channels do not divide, the last chunk begins earlier: dynamic_slice and
        # dynamic_update_slice clamp starts alike.
        start = (i // count * samples, 0, 0, i % count * channels)
        chunks = [
            jax.lax.dynamic_slice(a, start, (samples, *a.shape[1:3], channels))
            for a in arrays
        ]
        chunk = polyphase.separately(fn, *chunks)
        return jax.lax.dynamic_update_slice(y, chunk, start)

    y = jax.eval_shape(fn, *arrays)
    total = (n // samples) * count
    return jax.lax.fori_loop(0, total, add_chunk, jnp.zeros(y.shape, y.dtype))


@_in_chunks
def filtered(op: FilteredActivation, x: jax.Array) -> jax.Array:
    """op.down(activation(op.up(x))), [N H W C] -> [N H2 W2 C]."""
    phases = op.phases
    fine = _upsample(op, x, phases)
    fine = [[op.activation(p) for p in row] for row in fine]
    out = tuple(p // d for p, d in zip(phases, op.down.down))
    coarse = polyphase.resample_grid(op.down, fine, out, by_axis=True)
    return polyphase.merge(coarse, op.down.size_out)


def _upsample(op: FilteredActivation, x: jax.Array, phases: tuple[int, int]):
    # Measured: by_axis is 1.3 times faster with many phases, 1.1 slower with few.
    return polyphase.resample_grid(op.up, [[x]], phases, by_axis=max(op.up.up) > 2)


@_in_chunks
def filtered_vjp(op: FilteredActivation, x: jax.Array, ct: jax.Array) -> jax.Array:
    """The gradient for x given that of the output, ct."""
    phases = op.phases
    fine = _upsample(op, x, phases)
    fine_ct = polyphase.resample_grid(op.down.transposed(), [[ct]], phases)
    fine_ct = [
        [jax.vjp(op.activation, p)[1](c)[0] for p, c in zip(*rows)]
        for rows in zip(fine, fine_ct)
    ]
    out = tuple(p // u for p, u in zip(phases, op.up.up))
    x_ct = polyphase.resample_grid(op.up.transposed(), fine_ct, out)
    return polyphase.merge(x_ct, op.up.size_in)
