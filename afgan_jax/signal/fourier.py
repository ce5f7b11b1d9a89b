"""Fourier features: the infinite, continuous signal that a generator starts from.

A wave is sin(2 pi (f . (x, y) + phase)) with f in cycles per canvas width. The canvas
spans [-1/2, 1/2]^2, sampled at pixel centres; a size above `sampling_rate` includes a
margin around it. Source: Alias-Free GAN, Sec. 3.1 and App. F.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def sample_waves(
    key: Array, channels: int, bandwidth: float
) -> tuple[Float[Array, "C 2"], Float[Array, " C"]]:
    """Frequencies uniform in the disc |f| < bandwidth, phases uniform in cycles."""
    radius, angle, phase = (
        jax.random.uniform(k, (channels,), jnp.float32)
        for k in jax.random.split(key, 3)
    )
    radius, angle = bandwidth * jnp.sqrt(radius), 2 * jnp.pi * angle
    freqs = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return freqs, phase - 0.5


def transform_waves(
    freqs: Float[Array, "C 2"],
    phases: Float[Array, " C"],
    matrix: Float[Array, "N 3 3"],
) -> tuple[Float[Array, "N C 2"], Float[Array, "N C"]]:
    """Waves as seen through p -> matrix p: f' = f M, phase' = phase + f . t."""
    # Full precision: a rounded frequency moves a wave.
    exact = {"precision": jax.lax.Precision.HIGHEST}
    moves = jnp.einsum("ck,nk->nc", freqs, matrix[:, :2, 2], **exact)
    phases = phases[None] + moves
    return jnp.einsum("ck,nkl->ncl", freqs, matrix[:, :2, :2], **exact), phases


def evaluate_waves(
    freqs: Float[Array, "N C 2"],
    phases: Float[Array, "N C"],
    size: tuple[int, int],
    sampling_rate: float,
    bandwidth: float,
) -> Float[Array, "N H W C"]:
    """Waves sampled on a canvas of `size` (height, width) pixels.

    Amplitudes fade linearly from 1 at `bandwidth` to 0 at Nyquist, so that transforms
    that raise frequencies cannot alias. If `bandwidth` is Nyquist, they fade over a
    thousandth of it, which is more than rounding errors.
    """
    norms = jnp.linalg.norm(freqs, axis=-1)
    nyquist = sampling_rate / 2
    fade = (norms - bandwidth) / max(nyquist - bandwidth, nyquist / 1000)
    amplitudes = jnp.clip(1 - fade, 0, 1)[:, None, :]
    pixels = (jnp.arange(n, dtype=jnp.int32).astype(freqs.dtype) for n in size)
    y, x = ((p + 0.5 - n / 2) / sampling_rate for p, n in zip(pixels, size))
    # sin(a + b) from the sines of columns and rows: no sine per pixel.
    a = 2 * jnp.pi * freqs[:, None, :, 0] * x[None, :, None]  # [N W C]
    b = freqs[:, None, :, 1] * y[None, :, None] + phases[:, None, :]  # [N H C]
    b = 2 * jnp.pi * b
    rows = amplitudes * jnp.cos(b), amplitudes * jnp.sin(b)
    columns = jnp.sin(a), jnp.cos(a)
    return sum(r[:, :, None] * c[:, None] for r, c in zip(rows, columns))
