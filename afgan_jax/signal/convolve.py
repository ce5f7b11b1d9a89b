"""2-D convolution (correlation, as networks use it) with its own derivative rule.

With stride s, zero-insertion u and padding lo along each axis,
    y[n, o] = sum_{k, i} w[k, i, o] z[n s + k - lo, i],   z[u m] = x[m].
The map is bilinear. Its adjoint in x is again such a convolution (s and u swapped); the
adjoint in w is a matrix product over the samples that meet under each tap. XLA's own
weight gradient is up to 200 times slower on CPU, so there that product is written out,
except in programs compiled as `cpu_convolution.compiling_for` says.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax.signal import batching, precision
from afgan_jax.signal.backends import dispatch, xla_convolution
from afgan_jax.signal.operators import Convolution, Pads


def conv(
    x: Float[Array, "*N H W I"],
    w: Float[Array, "kh kw I O"],
    *,
    stride: int = 1,
    up: int = 1,
    pad: int | tuple[int, int] | Pads = 0,
    implementation: str | None = None,
    weight_implementation: str | None = None,
) -> Float[Array, "*N H2 W2 O"]:
    """Correlate `x`, zero-filled to `up` times the rate and padded, with `w`.

    The zero-filled row has (size - 1) up + 1 samples. Differentiable to any order.
    `implementation` is one of "conv" in `dispatch.IMPLEMENTATIONS` and
    `weight_implementation`, of the gradient in w, one of "conv_weights"; None leaves
    the choice to the table. Raises SettingError for unknown ones.
    """
    kernel = w.shape[:2]
    pad = (pad, pad) if isinstance(pad, int) else pad
    pad = tuple((p, p) if isinstance(p, int) else p for p in pad)
    size_out = tuple(
        ((n - 1) * up + 1 + sum(p) - k) // stride + 1
        for n, p, k in zip(x.shape[-3:-1], pad, kernel)
    )
    lo = (pad[0][0], pad[1][0])
    how = dispatch.wish("conv", implementation)
    how_weights = dispatch.wish("conv_weights", weight_implementation)
    sizes = x.shape[-3:-1], size_out
    op = Convolution(kernel, stride, up, lo, *sizes, how, how_weights)
    return batching.over_images(lambda x: apply(op, x, w), x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def apply(op: Convolution, x: jax.Array, w: jax.Array) -> jax.Array:
    """Apply a convolution; reverse-mode differentiable to any order."""
    if op.is_pointwise:
        return _pointwise(x, w[0, 0])
    return dispatch.lower("conv", op, x, w, wish=op.implementation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weight_gradient(op: Convolution, x: jax.Array, ct: jax.Array) -> jax.Array:
    if op.is_pointwise:
        wide = precision.wide(x.dtype)
        return _products("nhwi,nhwo->io", x, ct, dtype=wide)[None, None]
    return dispatch.lower("conv_weights", op, x, ct, wish=op.weight_implementation)


def _pointwise(x: jax.Array, w: jax.Array) -> jax.Array:
    """[N H W I], [I O] -> [N H W O]; half precision is rounded once."""
    dtypes = x.dtype, precision.wide(x.dtype)
    products = functools.partial(_products, "nhwi,io->nhwo")
    narrow, wide = (functools.partial(products, dtype=dtype) for dtype in dtypes)
    if dtypes[0] == dtypes[1]:
        return wide(x, w)
    # A GPU adds a short row of channels in float32 anyway, and would store what it is
    # asked for: twice the bytes of all maps.
    return jax.lax.platform_dependent(x, w, cuda=narrow, default=wide)


def _products(subscripts: str, a: jax.Array, b: jax.Array, *, dtype) -> jax.Array:
    """einsum, added up in dtype."""
    y = jnp.einsum(subscripts, a, b, preferred_element_type=dtype)
    return y.astype(a.dtype)


apply.defvjp(
    lambda op, x, w: (apply(op, x, w), (x, w)),
    lambda op, xw, ct: (
        apply(op.transposed(), ct, xla_convolution.flip(xw[1])),
        _weight_gradient(op, xw[0], ct),
    ),
)
_weight_gradient.defvjp(
    lambda op, x, ct: (_weight_gradient(op, x, ct), (x, ct)),
    lambda op, res, w: (
        apply(op.transposed(), res[1], xla_convolution.flip(w)),
        apply(op, res[0], w),
    ),
)
