"""What a layer keeps for its backward pass, by the names of `remat`."""

import flax.linen as nn
import jax

# Policies of jax.checkpoint for a layer (of StyleGAN2 and D: a block). The backward
# pass recomputes nothing ("none"), all but convolutions and the resampling around them
# ("conv") or all of the layer ("layer").
REMAT = {
    "none": None,
    "conv": jax.checkpoint_policies.save_only_these_names("conv"),
    "layer": jax.checkpoint_policies.nothing_saveable,
}


def rematerialized(module, choice: str, static_argnums: tuple[int, ...] = ()):
    """The module class under the policy REMAT[choice]; argument 0 is self."""
    if choice == "none":
        return module
    return nn.remat(module, policy=REMAT[choice], static_argnums=static_argnums)
