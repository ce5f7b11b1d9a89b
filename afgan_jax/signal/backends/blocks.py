"""The filtered nonlinearity on blocks of pixels: two convolutions, for matrix units.

Every channel of every sample is an image by itself, whose blocks of pixels are vectors
of features. A block of the fine grid is a linear function of a few neighbouring blocks
of the input, a block of the output one of the fine grid: both are convolutions over
blocks, for 2-D filters, radial ones too, as for separable ones.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.signal.backends import banded
from afgan_jax.signal.operators import FilteredActivation, Resampling

SIZE = 8  # least pixels of an output's block along an axis


def filtered(op: FilteredActivation, x: jax.Array) -> jax.Array:
    """op.down(activation(op.up(x))), [N H W C] -> [N H2 W2 C]."""
    assert op.down.lo == (0, 0)  # no padding between the two
    sizes = [_sizes(u, d) for u, d in zip(op.up.up, op.down.down)]
    small, fine, out = zip(*sizes)
    first = tuple(-(lo // up) for lo, up in zip(op.up.lo, op.up.up))
    to_fine = _kernel(op.up, small, fine, first)
    to_coarse = _kernel(op.down, fine, out, (0, 0))
    counts = tuple(-(-n // b) for n, b in zip(op.down.size_out, out))
    reach = [a + b - 2 for a, b in zip(to_fine.shape, to_coarse.shape)]
    padded = tuple((n + r) * b for n, r, b in zip(counts, reach, small))
    x = _window(x, first, padded)
    y = _convolve(op.activation(_convolve(_split(x, small), to_fine)), to_coarse)
    y = _join(y, x, out)
    height, width = op.down.size_out
    return y[:, :height, :width]


def resample(spec: Resampling, x: jax.Array) -> jax.Array:
    """Apply `spec` to images, [N H W C] -> [N H2 W2 C]."""
    units = [u // math.gcd(u, d) for u, d in zip(spec.up, spec.down)]
    out = tuple(-(-SIZE // unit) * unit for unit in units)
    small = tuple(n * d // u for n, d, u in zip(out, spec.down, spec.up))
    first = tuple(-(lo // up) for lo, up in zip(spec.lo, spec.up))
    kernel = _kernel(spec, small, out, first)
    counts = tuple(-(-n // b) for n, b in zip(spec.size_out, out))
    reach = [n - 1 for n in kernel.shape[:2]]
    padded = tuple((n + r) * b for n, r, b in zip(counts, reach, small))
    y = _convolve(_split(_window(x, first, padded), small), kernel)
    height, width = spec.size_out
    return _join(y, x, out)[:, :height, :width]


def filtered_vjp_at(
    op: FilteredActivation, slope: jax.Array, ct: jax.Array
) -> jax.Array:
    """The gradient for x given that of the output, ct.

    slope: the activation's derivative at op.up(x).
    """
    up, down = op.up.transposed(), op.down.transposed()
    assert up.up == down.down == (1, 1)
    sizes = [_sizes(u, d) for u, d in zip(op.up.up, op.down.down)]
    small, middle, out = zip(*sizes)
    first = tuple(-lo for lo in up.lo)  # fine sample of the first block
    to_small = _kernel(up, middle, small, first)
    lo = tuple(n - f for n, f in zip(down.lo, first))
    start = tuple(-(n // u) for n, u in zip(lo, down.up))
    to_fine = _kernel(dataclasses.replace(down, lo=lo), out, middle, start)
    counts = [-(-n // b) for n, b in zip(up.size_out, small)]
    counts = [n + k - 1 for n, k in zip(counts, to_small.shape)]
    slope = _window(slope, first, [n * b for n, b in zip(counts, middle)])
    counts = [n + k - 1 for n, k in zip(counts, to_fine.shape)]
    ct = _window(ct, start, [n * b for n, b in zip(counts, out)])
    ct = _convolve(_split(ct, out), to_fine)
    y = _convolve(_split(slope, middle) * ct, to_small)
    height, width = up.size_out
    return _join(y, slope, small)[:, :height, :width]


def is_cheaper(op: FilteredActivation, channels: int) -> bool:
    """Whether this is faster on a TPU than banded matrices: see dispatch.TABLE."""
    radial = not (op.up.separable and op.down.separable)
    return radial or max(op.up.up) > 2 or channels < 128


def _sizes(up: int, down: int) -> tuple[int, int, int]:
    """Pixels of a block, along an axis, of the input, the fine grid and the output."""
    unit = up // math.gcd(up, down)
    out = -(-SIZE // unit) * unit
    return out * down // up, out * down, out


def _kernel(spec, size_in, size_out, first) -> np.ndarray:
    """[windows_y windows_x pixels_in pixels_out] from blocks to blocks.

    The window of output block 0 begins with sample `first` of the input.
    """
    numbers, windows = [], []
    for axis, taps in enumerate(spec.taps_shape):
        up, size = spec.up[axis], size_in[axis]
        n = np.arange(size_out[axis]) * spec.down[axis] - spec.lo[axis]
        last = (n[-1] + taps - 1) // up
        windows.append(int(-(-(last + 1 - first[axis]) // size)))
        m = first[axis] + np.arange(windows[-1] * size)
        k = m[:, None] * up - n  # the tap from m to n, if there is one
        numbers.append(np.clip(k, -1, taps) + 1)
    rows, columns = numbers
    taps = np.outer(*spec.taps) if spec.separable else np.asarray(spec.taps)
    taps = np.pad(taps, 1)
    kernel = taps[rows[:, None, :, None], columns[None, :, None, :]]
    (a, b), (h, w) = windows, size_in
    kernel = kernel.reshape(a, h, b, w, -1).transpose(0, 2, 1, 3, 4)
    return kernel.reshape(a, b, h * w, -1)


def _window(x: jax.Array, first, size) -> jax.Array:
    """Samples first .. first + size - 1 along both axes, zero outside x."""
    pads = [(-f, n + f - m, 0) for f, n, m in zip(first, size, x.shape[1:3])]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])


def _split(x: jax.Array, size) -> jax.Array:
    """[N H W C] -> [N C, blocks_y, blocks_x, pixels]."""
    n, h, w, c = x.shape
    (p, q), shape = size, (n, h // size[0], size[0], w // size[1], size[1], c)
    x = x.reshape(shape).transpose(0, 5, 1, 3, 2, 4)
    return x.reshape(n * c, h // p, w // q, p * q)


def _join(y: jax.Array, x: jax.Array, size) -> jax.Array:
    """[N C, blocks_y, blocks_x, pixels] -> [N H W C], N and C those of x."""
    (n, *_, c), (_, a, b, _) = x.shape, y.shape
    y = y.reshape(n, c, a, b, *size).transpose(0, 2, 4, 3, 5, 1)
    return y.reshape(n, a * size[0], b * size[1], c)


def _convolve(x: jax.Array, kernel: np.ndarray) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        jnp.asarray(kernel, x.dtype),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=banded.precision(x),
    )
