"""What a layer keeps for its backward pass, by the name that `remat` has."""

import flax.linen as nn
import jax

# Kept beside the input of a layer (of StyleGAN2 and D, a block), as policies of
# jax.checkpoint; the rest is computed again. "none" computes nothing again, "conv" no
# convolution and no resampling around one.
REMAT = {
    "none": None,
    "conv": jax.checkpoint_policies.save_only_these_names("conv"),
    "layer": jax.checkpoint_policies.nothing_saveable,
}


def rematerialized(module, choice: str, static_argnums: tuple[int, ...] = ()):
    """The module class, with its backward pass as REMAT[choice] says (self is 0)."""
    if choice == "none":
        return module
    return nn.remat(module, policy=REMAT[choice], static_argnums=static_argnums)
