"""The random draws of an update, and the splitting of a batch.

Draws have the shape of the global batch and depend on the key alone.
"""

import jax
import jax.numpy as jnp

from afgan_jax.training import objectives


def latents(
    setup: objectives.Setup, key: jax.Array, n: int, rows: jax.sharding.Sharding
) -> dict[str, jax.Array]:
    """z and z_mix, [n z_dim] each, with the sharding `rows`."""
    shape = (n, setup.G.mapping.z_dim)
    keys = (jax.random.fold_in(key, i) for i in range(2))
    z, z_mix = (jax.random.normal(k, shape, jnp.float32) for k in keys)
    constrain = jax.lax.with_sharding_constraint
    return {"z": constrain(z, rows), "z_mix": constrain(z_mix, rows)}


def inputs(setup: objectives.Setup, key: jax.Array, arrays: dict) -> objectives.Inputs:
    """The Inputs of `arrays` (real, real_c, c, z, z_mix) and the other draws."""
    key_mix, key_coin, key_pl, key_rest = jax.random.split(key, 4)
    num_ws = setup.G.synthesis.num_ws
    mixes = jax.random.uniform(key_coin, dtype=jnp.float32) < setup.style_mixing_prob
    mix_from = jax.random.randint(key_mix, (), 1, num_ws, jnp.int32)
    n, *image = arrays["real"].shape
    count = n // setup.pl_batch_shrink if setup.pl_weight else 0
    return objectives.Inputs(
        **arrays,
        mix_from=jnp.where(mixes, mix_from, num_ws),
        pl_normal=jax.random.normal(key_pl, (count, *image), jnp.float32),
        key=key_rest,
    )


def split(a: jax.Array, parts: int, group: int) -> jax.Array:
    """[N ...] -> [parts N/parts ...], whole groups of neighbours to each part in turn.

    Groups stay together, so minibatch statistics do not change.
    """
    if parts == 1:
        return a[None]
    n, *rest = a.shape  # no -1 below: labels may have width 0
    dealt = a.reshape(n // (parts * group), parts, group, *rest).swapaxes(0, 1)
    return dealt.reshape(parts, n // parts, *rest)
