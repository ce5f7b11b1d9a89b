"""Fourier features that a synthesis network begins with.

Sources: Alias-Free GAN, Sec. 3.1 and App. F.1.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax.networks import dense
from afgan_jax.signal import affine, fourier

# Names of `input`: whether w rotates and translates the Fourier features.
INPUTS = {"fourier": False, "fourier_transformed": True}


class FourierInput(nn.Module):
    """Learned mix of waves, transformed as w says if `is_learned`: w -> [N H W C].

    `transform` ([3 3] or [N 3 3], None for identity) is a user transform as in
    `affine`: the inverse of the motion wanted of the image.
    """

    channels: int
    size: tuple[int, int]
    sampling_rate: float
    bandwidth: float
    is_learned: bool = True

    @nn.compact
    def __call__(
        self, w: Float[Array, "N w_dim"], transform: Array | None = None
    ) -> Float[Array, "N H W C"]:
        drawn = (None, None)
        if self.is_initializing():
            key = self.make_rng("params")
            drawn = fourier.sample_waves(key, self.channels, self.bandwidth)
        freqs = self.variable("buffers", "freqs", lambda: drawn[0]).value
        phases = self.variable("buffers", "phases", lambda: drawn[1]).value
        weight = self.param(
            "weight",
            nn.initializers.normal(1.0),
            (self.channels, self.channels),
            jnp.float32,
        )
        matrix = (
            self._matrix(w) if self.is_learned else jnp.eye(3, dtype=jnp.float32)[None]
        )
        if transform is not None:
            matrix = affine.compose(matrix, jnp.asarray(transform, matrix.dtype))
        freqs, phases = fourier.transform_waves(freqs, phases, matrix)
        x = fourier.evaluate_waves(
            freqs, phases, self.size, self.sampling_rate, self.bandwidth
        )
        x = dense.dense(x, weight)
        return jnp.broadcast_to(x, (w.shape[0], *x.shape[1:]))

    def _matrix(self, w) -> Float[Array, "N 3 3"]:
        """Rotation, then translation, from four numbers; the identity at first."""
        head = FrameHead(name="affine")
        a, b, tx, ty = jnp.moveaxis(head(w), -1, 0)
        norm = jnp.sqrt(a * a + b * b)
        a, b, tx, ty = a / norm, b / norm, tx / norm, ty / norm
        zero, one = jnp.zeros_like(a), jnp.ones_like(a)
        rows = [[a, -b, zero], [b, a, zero], [zero, zero, one]]
        rotation = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
        return affine.compose(rotation, affine.translation(-tx, -ty))


class FrameHead(nn.Module):
    """Dense layer w -> (a, b, tx, ty); at first (1, 0, 0, 0) whatever w."""

    @nn.compact
    def __call__(self, w: Float[Array, "N w_dim"]) -> Float[Array, "N 4"]:
        weight = self.param(
            "weight", nn.initializers.zeros, (w.shape[-1], 4), jnp.float32
        )
        bias = self.param("bias", lambda key: jnp.float32([1, 0, 0, 0]))
        return dense.dense(w, weight, bias)
