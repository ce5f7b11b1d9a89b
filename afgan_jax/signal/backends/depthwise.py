"""Resampling as XLA's own depthwise convolution: plain and slow.

The baseline of comparisons, and of counts of the operations of a resampling.
"""

import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.signal.operators import Resampling


def resample(spec: Resampling, x: jax.Array) -> jax.Array:
    """Apply `spec` to images, [N H W C] -> [N H2 W2 C]."""
    if not spec.separable:
        return _convolve(spec, x, np.asarray(spec.taps), (0, 1))
    y = _convolve(spec, x, np.asarray(spec.taps[0])[:, None], (0,))
    return _convolve(spec, y, np.asarray(spec.taps[1])[None, :], (1,))


def _convolve(spec, x, taps, axes: tuple[int, ...]):
    """Resample along `axes` only (0 vertical, 1 horizontal)."""
    up, down, pads = [1, 1], [1, 1], [(0, 0), (0, 0)]
    for axis in axes:
        up[axis], down[axis] = spec.up[axis], spec.down[axis]
        filled = (spec.size_in[axis] - 1) * up[axis] + 1
        needed = (spec.size_out[axis] - 1) * down[axis] + taps.shape[axis]
        pads[axis] = (spec.lo[axis], needed - spec.lo[axis] - filled)
    channels = x.shape[-1]
    kernel = jnp.broadcast_to(
        jnp.asarray(taps, x.dtype)[:, :, None, None], (*taps.shape, 1, channels)
    )
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=down,
        padding=pads,
        lhs_dilation=up,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
        precision="highest",
    )
