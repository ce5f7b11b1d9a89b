"""Mapping network: latents and labels to the intermediate latent space W."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax import ranges
from afgan_jax.networks import dense


class Mapping(nn.Module):
    """z [N z_dim], c [N c_dim] -> ws [N num_ws w_dim] (StyleGAN2, Sec. 2).

    z_dim=0 maps labels only; num_ws=None returns w [N w_dim] and keeps no average.
    The buffer `w_avg` is the running mean of w, the centre of truncation.
    """

    z_dim: int
    c_dim: int
    w_dim: int
    num_ws: int | None
    num_layers: int
    lr_multiplier: float = 0.01
    w_avg_beta: float = 0.998

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "N z_dim"] | None,
        c: Float[Array, "N c_dim"] | None = None,
        psi: float | Array = 1.0,
        cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Float[Array, "N L w_dim"] | Float[Array, "N w_dim"]:
        """`psi` pulls the first `cutoff` (None: all) of the ws towards the average.

        Raises ValueError if labels are needed and absent, or of the wrong length.
        """
        x = self._join(z, c)
        for i in range(self.num_layers):
            x = dense.Dense(self.w_dim, "lrelu", self.lr_multiplier, name=f"fc{i}")(x)
        if self.num_ws is None:
            return x
        w_avg = self.variable("buffers", "w_avg", jnp.zeros, (self.w_dim,), jnp.float32)
        if update_emas and not self.is_initializing():
            mean = jnp.mean(x, axis=0)
            w_avg.value = mean + self.w_avg_beta * (w_avg.value - mean)
        ws = jnp.broadcast_to(x[:, None, :], (x.shape[0], self.num_ws, self.w_dim))
        if isinstance(psi, int | float) and psi == 1:
            return ws
        centre = w_avg.value[None, None]
        near = centre + psi * (ws - centre)
        if cutoff is None:
            cutoff = self.num_ws
        return jnp.where(
            (jnp.arange(self.num_ws, dtype=jnp.int32) < cutoff)[None, :, None], near, ws
        )

    def _join(self, z, c):
        parts = []
        if self.z_dim:
            if z.shape[-1] != self.z_dim:
                raise ValueError(
                    f"z has {z.shape[-1]} numbers per sample: give z_dim={self.z_dim}"
                )
            parts.append(dense.normalize_2nd_moment(z))
        if self.c_dim:
            if c is None or c.shape[-1] != self.c_dim:
                got = "no" if c is None else c.shape[-1]
                raise ValueError(
                    f"c has {got} numbers per sample: give c_dim={self.c_dim}"
                )
            embedded = dense.Dense(self.w_dim, name="embed")(c)
            parts.append(dense.normalize_2nd_moment(embedded))
        return jnp.concatenate(parts, axis=-1)


def make_mapping(
    num_ws: int,
    *,
    z_dim: int = 512,
    c_dim: int = 0,
    w_dim: int = 512,
    num_layers: int = 2,
    lr_multiplier: float = Mapping.lr_multiplier,
    w_avg_beta: float = Mapping.w_avg_beta,
) -> Mapping:
    """A generator's mapping to `num_ws` latents; StyleGAN2 has 8 layers.

    Raises SettingError for impossible sizes.
    """
    given = dict(locals())
    ranges.check("", **given)
    return Mapping(**given)
