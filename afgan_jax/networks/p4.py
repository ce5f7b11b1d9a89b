"""Convolutions symmetric under quarter turns: "p4", as an ablation of configuration T.

A feature map then has G = 4 copies of its C channels, one a direction, side by side
[N H W G*C]: all that treats channels alike is as it was. A kernel w [k k G I O] sees
directions relative to that of its output s, and is itself turned by it:

    y[p, s, o] = sum over q, r, i of w[R^-s q, r - s, i, o] x[p + q, r, i]

with R a quarter turn. This is an ordinary convolution of G I to G O channels; where x
is turned, each direction becoming the next, y is too. The Fourier features look the
same in every direction, and the image is the mean over the directions. Styles and
biases are those of C channels.

Sources: Alias-Free GAN, App. F.3; Cohen and Welling, "Group Equivariant Convolutional
Networks" (2016).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

ORDERS = {"none": 1, "p4": 4}


def kernel_axes(symmetry: str) -> tuple[int, ...]:
    """What a kernel's shape has between k k and I O: nothing, or G."""
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
