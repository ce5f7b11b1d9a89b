"""Convolutions (operators.Convolution) that are faster on CPUs than XLA's own.

Of the two adjoints in w, sums of products tap by tap are fast under the compiler's
default options, XLA's own of a padded image only under those of `compiling_for`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from afgan_jax.signal.backends import xla_convolution
from afgan_jax.signal.operators import Convolution


def conv(op: Convolution, x: jax.Array, w: jax.Array) -> jax.Array:
    """Adds a row and drops it: XLA's CPU convolution is 4 times slower unpadded."""
    if op.up > 1 or any(p != (0, 0) for p in op.pads()):
        return xla_convolution.conv(op, x, w)
    size = (op.size_out[0] + 1, op.size_out[1])
    y = xla_convolution.conv(dataclasses.replace(op, size_out=size), x, w)
    return y[:, : op.size_out[0]]


def weight_gradient_of_padded(
    op: Convolution, x: jax.Array, ct: jax.Array
) -> jax.Array:
    """XLA's own, of a padded x: 100 times faster for lo = 2."""
    if op.up > op.stride:  # the transposed operator has the same products
        return xla_convolution.flip(weight_gradient_of_padded(op.transposed(), ct, x))
    z = jax.lax.optimization_barrier(_filled(op, x))
    return xla_convolution.weight_gradient(
        dataclasses.replace(op, lo=(0, 0), up=1, size_in=z.shape[1:3]), z, ct
    )


# Bytes of gathered taps that a CPU's caches hold.
_CHUNK_BYTES = 4_000_000


def weight_gradient_by_taps(op: Convolution, x: jax.Array, ct: jax.Array) -> jax.Array:
    """ct^T [O M] times the M samples under each tap [M kh kw I], summed over images."""
    if op.up > op.stride:  # the transposed operator has the same products
        return xla_convolution.flip(weight_gradient_by_taps(op.transposed(), ct, x))
    n, channels_in, channels_out = x.shape[0], x.shape[3], ct.shape[3]
    taps = op.kernel[0] * op.kernel[1] * channels_in
    image = op.size_out[0] * op.size_out[1] * taps * x.dtype.itemsize
    counts = [d for d in range(1, n + 1) if n % d == 0 and d * image <= _CHUNK_BYTES]
    samples = max(counts, default=1)

    def add(total, chunk):
        x, ct = chunk
        gathered = _under_taps(op, x).reshape(-1, taps)
        return total + ct.reshape(-1, channels_out).T @ gathered, None

    chunks = [a.reshape(n // samples, samples, *a.shape[1:]) for a in (x, ct)]
    total = jnp.zeros((channels_out, taps), x.dtype)
    total, _ = jax.lax.scan(add, total, tuple(chunks))
    return total.reshape(channels_out, *op.kernel, channels_in).transpose(1, 2, 3, 0)


def _under_taps(op: Convolution, x: jax.Array) -> jax.Array:
    """The samples under each tap, [N H2 W2 kh kw I]."""
    z = _filled(op, x)
    height, width = ((n - 1) * op.stride + 1 for n in op.size_out)
    s = op.stride
    slices = [
        z[:, y : y + height : s, x : x + width : s]
        for y in range(op.kernel[0])
        for x in range(op.kernel[1])
    ]
    return jnp.stack(slices, axis=3)


def _filled(op: Convolution, x: jax.Array) -> jax.Array:
    """x with the zeros of `up` and the padding."""
    pads = [(lo, hi, op.up - 1) for lo, hi in op.pads()]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])


@functools.cache
def compiling_for(platform: str) -> tuple[dict[str, str], dict[str, str]]:
    """(compiler options, wishes) with which convolutions train fastest.

    256 channels of 74 pixels, batch 4, on 2 cores: 0.10 s, "taps" 0.18 s; 91 to 64
    channels of 276 pixels, batch 2: 0.14 s, "taps" 0.43 s. Without the option "padded"
    may take minutes. Empty unless the platform is "cpu" and jaxlib knows the option.
    """
    if platform != "cpu":
        return {}, {}
    options = {
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
    }
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        try:
            jax.jit(jnp.negative, compiler_options=options).lower(1.0).compile()
        except jax.errors.JaxRuntimeError:
            return {}, {}
    return options, {"conv_weights": "padded"}
