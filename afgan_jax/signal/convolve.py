"""2-D convolution (correlation, as networks use it) with its own derivative rule.

With stride s, zero-insertion u and padding lo along each axis,
    y[n, o] = sum_{k, i} w[k, i, o] z[n s + k - lo, i],   z[u m] = x[m].
The map is bilinear. Its adjoint in x is again such a convolution (s and u swapped); the
adjoint in w is a matrix product over the samples that meet under each tap. XLA's own
weight gradient is up to 200 times slower on CPU, so there that product is written out,
except in programs compiled with `cpu_compiler_options`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax.signal import batching
from afgan_jax.signal.backends import dispatch

Pads = tuple[tuple[int, int], tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution of fixed geometry as data; pairs are (vertical, horizontal)."""

    kernel: tuple[int, int]
    stride: int
    up: int
    lo: tuple[int, int]
    size_in: tuple[int, int]
    size_out: tuple[int, int]

    @property
    def is_pointwise(self) -> bool:
        """Whether each output depends on the input at its own place alone."""
        return (
            self.kernel == (1, 1)
            and self.stride == self.up == 1
            and self.lo == (0, 0)
            and self.size_in == self.size_out
        )

    def transposed(self) -> "Convolution":
        """The adjoint in x, with the kernel flipped and its channels swapped."""
        lo = tuple(k - 1 - lo for k, lo in zip(self.kernel, self.lo))
        return Convolution(
            self.kernel, self.up, self.stride, lo, self.size_out, self.size_in
        )

    def pads(self) -> Pads:
        """(lo, hi) per axis, hi such that exactly `size_out` outputs result."""
        return tuple(
            (lo, (out - 1) * self.stride + k - lo - ((n - 1) * self.up + 1))
            for n, out, k, lo in zip(self.size_in, self.size_out, self.kernel, self.lo)
        )


def conv(
    x: Float[Array, "*N H W I"],
    w: Float[Array, "kh kw I O"],
    *,
    stride: int = 1,
    up: int = 1,
    pad: int | tuple[int, int] | Pads = 0,
) -> Float[Array, "*N H2 W2 O"]:
    """Correlate `x`, zero-filled to `up` times the rate and padded, with `w`.

    The zero-filled row has (size - 1) up + 1 samples. Differentiable to any order.
    """
    kernel = w.shape[:2]
    pad = (pad, pad) if isinstance(pad, int) else pad
    pad = tuple((p, p) if isinstance(p, int) else p for p in pad)
    size_out = tuple(
        ((n - 1) * up + 1 + sum(p) - k) // stride + 1
        for n, p, k in zip(x.shape[-3:-1], pad, kernel)
    )
    lo = (pad[0][0], pad[1][0])
    op = Convolution(kernel, stride, up, lo, x.shape[-3:-1], size_out)
    return batching.over_images(lambda x: _conv(op, x, w), x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(op: Convolution, x: jax.Array, w: jax.Array) -> jax.Array:
    if op.is_pointwise:
        return _products("nhwi,io->nhwo", x, w[0, 0])
    inner = {
        "taller": functools.partial(_taller_conv, op),
        "xla": functools.partial(_xla_conv, op),
    }
    return dispatch.lower("conv", inner, x, w)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weight_gradient(op: Convolution, x: jax.Array, ct: jax.Array) -> jax.Array:
    if op.is_pointwise:
        return _products("nhwi,nhwo->io", x, ct)[None, None]
    inner = {
        "taps": functools.partial(_products_of_taps, op),
        "padded": functools.partial(_padded_weight_gradient, op),
        "xla": functools.partial(_xla_weight_gradient, op),
    }
    return dispatch.lower("conv_weights", inner, x, ct)


def _products(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """einsum, accumulated in float32 at least: half precision is rounded once."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    y = jnp.einsum(subscripts, a, b, preferred_element_type=wide)
    return y.astype(a.dtype)


def _flip(w: jax.Array) -> jax.Array:
    return w[::-1, ::-1].swapaxes(2, 3)


_conv.defvjp(
    lambda op, x, w: (_conv(op, x, w), (x, w)),
    lambda op, xw, ct: (
        _conv(op.transposed(), ct, _flip(xw[1])),
        _weight_gradient(op, xw[0], ct),
    ),
)
_weight_gradient.defvjp(
    lambda op, x, ct: (_weight_gradient(op, x, ct), (x, ct)),
    lambda op, res, w: (
        _conv(op.transposed(), res[1], _flip(w)),
        _conv(op, res[0], w),
    ),
)


def _xla_conv(op: Convolution, x: jax.Array, w: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        w,
        window_strides=(op.stride, op.stride),
        padding=op.pads(),
        lhs_dilation=(op.up, op.up),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _taller_conv(op: Convolution, x: jax.Array, w: jax.Array) -> jax.Array:
    """XLA's CPU convolution is 4 times slower without padding: pad a row, drop it."""
    if op.up > 1 or any(p != (0, 0) for p in op.pads()):
        return _xla_conv(op, x, w)
    taller = (op.size_out[0] + 1, op.size_out[1])
    y = _xla_conv(dataclasses.replace(op, size_out=taller), x, w)
    return y[:, : op.size_out[0]]


def compiling_for(platform: str) -> tuple[dict[str, str], dict[str, str]]:
    """(compiler options, forms to prefer) with which convolutions train fastest."""
    options = cpu_compiler_options() if platform == "cpu" else {}
    return options, {"conv_weights": "padded"} if options else {}


@functools.cache
def cpu_compiler_options() -> dict[str, str]:
    """Options for a jit on CPU under which "padded" is the best form of conv_weights.

    256 channels of 74 pixels, batch 4, on 2 cores: 0.10 s, against 0.18 s for "taps";
    91 to 64 channels of 276 pixels, batch 2: 0.14 s, against 0.43 s. Without the option
    "padded" may take minutes. Empty where this jaxlib does not know it.
    """
    options = {
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
    }
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        try:
            jax.jit(jnp.negative, compiler_options=options).lower(1.0).compile()
        except jax.errors.JaxRuntimeError:
            return {}
    return options


def _padded_weight_gradient(op: Convolution, x: jax.Array, ct: jax.Array) -> jax.Array:
    """XLA's own, of an x that is padded first: 100 times faster where lo is 2."""
    if op.up > op.stride:  # the same pairs of samples, seen from the other side
        return _flip(_padded_weight_gradient(op.transposed(), ct, x))
    z = jax.lax.optimization_barrier(_filled(op, x))
    return _xla_weight_gradient(
        dataclasses.replace(op, lo=(0, 0), up=1, size_in=z.shape[1:3]), z, ct
    )


def _xla_weight_gradient(op: Convolution, x: jax.Array, ct: jax.Array) -> jax.Array:
    w = jnp.zeros((*op.kernel, x.shape[-1], ct.shape[-1]), x.dtype)
    return jax.linear_transpose(functools.partial(_xla_conv, op, x), w)(ct)[0]


# Bytes of gathered taps that stay within a CPU's caches.
_CHUNK_BYTES = 4_000_000


def _products_of_taps(op: Convolution, x: jax.Array, ct: jax.Array) -> jax.Array:
    """ct^T [O M] times the M samples under each tap [M kh kw I], summed over images."""
    if op.up > op.stride:  # the same pairs of samples, seen from the other side
        return _flip(_products_of_taps(op.transposed(), ct, x))
    n, channels_in, channels_out = x.shape[0], x.shape[3], ct.shape[3]
    taps = op.kernel[0] * op.kernel[1] * channels_in
    image = op.size_out[0] * op.size_out[1] * taps * x.dtype.itemsize
    fits = [d for d in range(1, n + 1) if n % d == 0 and d * image <= _CHUNK_BYTES]
    samples = max(fits, default=1)

    def add(total, pieces):
        x, ct = pieces
        gathered = _under_taps(op, x).reshape(-1, taps)
        return total + ct.reshape(-1, channels_out).T @ gathered, None

    pieces = [a.reshape(n // samples, samples, *a.shape[1:]) for a in (x, ct)]
    total = jnp.zeros((channels_out, taps), x.dtype)
    total, _ = jax.lax.scan(add, total, tuple(pieces))
    return total.reshape(channels_out, *op.kernel, channels_in).transpose(1, 2, 3, 0)


def _under_taps(op: Convolution, x: jax.Array) -> jax.Array:
    """The samples that meet each tap, [N H2 W2 kh kw I]."""
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
    """x with the zeros that `up` and the padding put around its samples."""
    pads = [(lo, hi, op.up - 1) for lo, hi in op.pads()]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])
