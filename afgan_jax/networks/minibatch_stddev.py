"""Minibatch statistics of the discriminator. Source: StyleGAN2, App. B."""

import jax.numpy as jnp
from jaxtyping import Array, Float

LAYOUTS = ("contiguous", "interleaved")


def minibatch_stddev(
    x: Float[Array, "N H W C"],
    group_size: int | None = 4,
    num_channels: int = 1,
    layout: str = "contiguous",
) -> Float[Array, "N H W C2"]:
    """Append `num_channels` maps: the standard deviation over groups of samples.

    Groups are neighbouring samples ("contiguous": no traffic between devices) or, as
    published, every M-th sample ("interleaved", M groups) of the global batch. Raises
    ValueError if the batch is not a multiple of the group size.
    """
    n, h, w, c = x.shape
    size = n if group_size is None else min(group_size, n)
    if n % size:
        raise ValueError(f"batch of {n} is not a multiple of mbstd_group_size={size}")
    if layout == "contiguous":
        y = x.reshape(n // size, size, h, w, num_channels, c // num_channels)
        y = y.swapaxes(0, 1)
    else:
        y = x.reshape(size, n // size, h, w, num_channels, c // num_channels)
    deviation = jnp.sqrt(jnp.var(y, axis=0) + 1e-8)  # [M H W F C/F]
    statistic = jnp.mean(deviation, axis=(1, 2, 4))  # [M F]
    if layout == "contiguous":
        statistic = jnp.repeat(statistic, size, axis=0)
    else:
        statistic = jnp.tile(statistic, (size, 1))
    maps = jnp.broadcast_to(statistic[:, None, None, :], (n, h, w, num_channels))
    return jnp.concatenate([x, maps.astype(x.dtype)], axis=-1)
