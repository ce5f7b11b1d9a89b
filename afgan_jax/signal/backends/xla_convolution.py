"""Convolutions (operators.Convolution) by XLA."""

import functools

import jax
import jax.numpy as jnp

from afgan_jax.signal.operators import Convolution


def conv(op: Convolution, x: jax.Array, w: jax.Array) -> jax.Array:
    """[N H W I], [kh kw I O] -> [N H2 W2 O]."""
    return jax.lax.conv_general_dilated(
        x,
        w,
        window_strides=(op.stride, op.stride),
        padding=op.pads(),
        lhs_dilation=(op.up, op.up),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def weight_gradient(op: Convolution, x: jax.Array, ct: jax.Array) -> jax.Array:
    """The adjoint in w, given x and the cotangent of the output."""
    w = jnp.zeros((*op.kernel, x.shape[-1], ct.shape[-1]), x.dtype)
    return jax.linear_transpose(functools.partial(conv, op, x), w)(ct)[0]


def is_known_to_cudnn(op: Convolution) -> bool:
    """Whether XLA makes `weight_gradient` cuDNN's of a filter.

    Elsewhere it is a forward convolution with windows as large as the image, up to 90
    times slower (openxla/xla issue 34273).
    """
    near = (0 <= p <= k // 2 for pads, k in zip(op.pads(), op.kernel) for p in pads)
    return op.stride == op.up == 1 and all(near)


def flip(w: jax.Array) -> jax.Array:
    """The kernel of `op.transposed()`, [kh kw O I]."""
    return w[::-1, ::-1].swapaxes(2, 3)
