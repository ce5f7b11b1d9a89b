"""Convolutions (operators.Convolution) that are faster on CPUs than XLA's own.

Of the two adjoints in w, sums of products tap by tap are fast under the compiler's
default options, XLA's own of a padded image only under those of `compiling_for`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from afgan_jax.signal import precision
from afgan_jax.signal.backends import xla_convolution
from afgan_jax.signal.operators import Convolution


def conv(op: Convolution, x: jax.Array, w: jax.Array) -> jax.Array:
    """Adds a row and drops it: XLA's CPU convolution is 4 times slower unpadded."""
    if op.up > 1 or any(p != (0, 0) for p in op.pads()):
        return xla_convolution.conv(op, x, w)
    size = (op.size_out[0] + 1, op.size_out[1])
    y = xla_convolution.conv(dataclasses.replace(op, size_out=size), x, w)
    return y[:, : op.size_out[0]]


def is_faster_by_phases(op: Convolution) -> bool:
    """Whether `conv_by_phases` computes it, and in less time than `conv`.

    On 2 cores, batch 2, ms by phases and without: 128 to 64 channels of 256 pixels 42,
    92; 256 to 128 of 128 pixels 44, 57; 512 to 256 of 64 pixels 46, 44.
    """
    return op.stride == 1 < op.up and min(op.size_out) >= 128


def conv_by_phases(op: Convolution, x: jax.Array, w: jax.Array) -> jax.Array:
    """Every phase of the output by the taps that meet samples of x; strided, as `conv`.

    XLA multiplies the zeros of `up`, too: up^2 times the products.
    """
    if op.stride > 1:
        return conv(op, x, w)
    size = tuple(-(-n // op.up) for n in op.size_out)

    def phase(*at: int) -> jax.Array:
        first = [(lo - p) % op.up for lo, p in zip(op.lo, at)]
        taps = w[first[0] :: op.up, first[1] :: op.up]
        if 0 in taps.shape:
            return jnp.zeros((x.shape[0], *size, w.shape[3]), x.dtype)
        lo = tuple((lo - p - k) // op.up for lo, p, k in zip(op.lo, at, first))
        part = Convolution(taps.shape[:2], 1, 1, lo, op.size_in, size)
        return conv(part, x, taps)

    phases = range(op.up)
    rows = [jnp.stack([phase(a, b) for b in phases], axis=3) for a in phases]
    whole = [n * op.up for n in size]
    y = jnp.stack(rows, axis=2).reshape(x.shape[0], *whole, w.shape[3])
    return y[:, : op.size_out[0], : op.size_out[1]]


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
    """ct^T [O M] times the M samples under each tap [M kh kw I], summed over chunks.

    A chunk is several images or, of large ones, some rows of one. Half precision is
    rounded once.
    """
    if op.up > op.stride:  # the transposed operator has the same products
        return xla_convolution.flip(weight_gradient_by_taps(op.transposed(), ct, x))
    channels_in, channels_out = x.shape[3], ct.shape[3]
    if 0 in (*x.shape, *ct.shape):
        return jnp.zeros((*op.kernel, channels_in, channels_out), x.dtype)
    taps = op.kernel[0] * op.kernel[1] * channels_in
    line = op.size_out[1] * taps * x.dtype.itemsize
    rows = _divisor(op.size_out[0], _CHUNK_BYTES // line)
    whole = rows == op.size_out[0]
    images = _divisor(x.shape[0], _CHUNK_BYTES // (line * rows)) if whole else 1
    z, height = _filled(op, x), (rows - 1) * op.stride + op.kernel[0]
    wide = precision.wide(x.dtype)

    def add(total, at):
        image, row = at
        start = image, row * op.stride, 0, 0
        under = jax.lax.dynamic_slice(z, start, (images, height, *z.shape[2:]))
        under = _under_taps(op, under, rows).reshape(-1, taps)
        part = jax.lax.dynamic_slice(ct, (*at, 0, 0), (images, rows, *ct.shape[2:]))
        part = part.reshape(-1, channels_out).T
        return total + jnp.matmul(part, under, preferred_element_type=wide), None

    starts = jnp.arange(0, x.shape[0], images), jnp.arange(0, op.size_out[0], rows)
    starts = tuple(a.reshape(-1) for a in jnp.meshgrid(*starts, indexing="ij"))
    total = jnp.zeros((channels_out, taps), wide)
    total, _ = jax.lax.scan(add, total, starts)
    total = total.astype(x.dtype).reshape(channels_out, *op.kernel, channels_in)
    return total.transpose(1, 2, 3, 0)


def weight_gradient_in_training(
    op: Convolution, x: jax.Array, ct: jax.Array
) -> jax.Array:
    """The faster of both under the options of `compiling_for`.

    On 2 cores, batch 2, ms by taps and padded, stride 2: 64 to 128 channels of 256
    pixels 41, 72; 128 to 256 of 128 pixels 50, 69; 256 to 512 of 64 pixels 42, 47.
    """
    is_strided = max(op.stride, op.up) > 1
    by = weight_gradient_by_taps if is_strided else weight_gradient_of_padded
    return by(op, x, ct)


def _divisor(n: int, most: int) -> int:
    """The largest divisor of n that is no larger than `most`, or else 1."""
    return max((d for d in range(1, min(n, most) + 1) if n % d == 0), default=1)


def _under_taps(op: Convolution, z: jax.Array, rows: int) -> jax.Array:
    """The samples under each tap for so many rows of outputs, [N rows W2 kh kw I]."""
    height, width = ((n - 1) * op.stride + 1 for n in (rows, op.size_out[1]))
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
    return options, {"conv_weights": "in_training"}
