"""Convolutions equivariant to quarter turns: "p4", an ablation of configuration T.

A feature map [N H W G*C] has C channels for each of G = 4 directions, side by side.
With R a quarter turn, a kernel w [k k G I O] gives

    y[p, s, o] = sum over q, r, i of w[R^-s q, r - s, i, o] x[p + q, r, i]

which is an ordinary convolution of G I to G O channels. If x is turned and each
direction becomes the next, so is y. The Fourier features are the same for every
direction, and the image is the mean over directions. Styles and biases have C channels.

Sources: Alias-Free GAN, App. F.3; Cohen and Welling, "Group Equivariant Convolutional
Networks" (2016).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

ORDERS = {"none": 1, "p4": 4}


def kernel_axes(symmetry: str) -> tuple[int, ...]:
    """The axes of a kernel's shape between k k and I O: none, or G."""
    return () if symmetry == "none" else (ORDERS[symmetry],)


def replicate(x: Float[Array, "*n C"], symmetry: str) -> Float[Array, "*n GC"]:
    """The same channels in every direction."""
    return x if symmetry == "none" else jnp.tile(x, ORDERS[symmetry])


def expand_kernel(w: Float[Array, "k k *G I O"], symmetry: str):
    """[k k G*I G*O], the kernel w turned to every direction; w without a symmetry."""
    if symmetry == "none":
        return w
    k, _, order, channels_in, channels_out = w.shape
    turned = [jnp.roll(jnp.rot90(w, s), s, axis=2) for s in range(order)]
    return jnp.stack(turned, axis=-2).reshape(
        k, k, order * channels_in, order * channels_out
    )


def average(x: Float[Array, "*n GC"], symmetry: str) -> Float[Array, "*n C"]:
    """The mean over the directions."""
    if symmetry == "none":
        return x
    return jnp.mean(x.reshape(*x.shape[:-1], ORDERS[symmetry], -1), axis=-2)
