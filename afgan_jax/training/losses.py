"""Adversarial losses and their regularisers, per sample, as pure functions.

f(x) = log(1 + exp(x)) throughout; logits are larger for images that look real.
Sources: GAN (non-saturating logistic loss), R3GAN (Sec. 2, relativistic pairs, with R1
and R2), Mescheder et al. 2018 (R1 and R2), StyleGAN2 (Sec. 3.2, path lengths),
Alias-Free GAN (App. F, blur of the discriminator's inputs).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

GAMMA_0 = 0.001  # of usual_r1_gamma; searched from 0.0002 to 0.005 in App. F


class Adversarial(NamedTuple):
    """What G and D minimise, as functions of D's logits.

    Each takes (logits of generated images [N], of real ones [N]), or None for those
    that it does not need.
    """

    G: Callable  # -> loss [N]
    D: Callable  # -> loss [N]
    margins: Callable  # -> (generated, real) [N]: by how much they look real to D
    is_paired: bool  # only differences count: of a generated and a real image


ADVERSARIAL = {
    "logistic": Adversarial(
        lambda fake, real: jax.nn.softplus(-fake),
        lambda fake, real: jax.nn.softplus(fake) + jax.nn.softplus(-real),
        lambda fake, real: (fake, real),
        is_paired=False,
    ),
    "relativistic": Adversarial(
        lambda fake, real: jax.nn.softplus(real - fake),
        lambda fake, real: jax.nn.softplus(fake - real),
        lambda fake, real: (fake - real, real - fake),
        is_paired=True,
    ),
}


def usual_r1_gamma(pixels: int, batch_size: int) -> float:
    """First guess of the weight of R1: GAMMA_0 x pixels / batch (App. F)."""
    return GAMMA_0 * pixels / batch_size


def gradient_penalty(
    discriminate: Callable, images: Float[Array, "N H W C"]
) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """(|d logit / d image|^2 per sample, logits) of discriminate(images) -> logits.

    R1 is that of real images, R2 that of generated ones.
    """

    def total(images):
        logits = discriminate(images)
        return jnp.sum(logits), logits

    gradient, logits = jax.grad(total, has_aux=True)(images)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3)), logits


def path_lengths(
    synthesize: Callable,
    ws: Float[Array, "N L w_dim"],
    normal: Float[Array, "N H W C"],
) -> Float[Array, " N"]:
    """|J^T y| with y = normal / sqrt(H W); its square is averaged over the L ws."""
    noise = normal / jnp.sqrt(normal.shape[1] * normal.shape[2]).astype(normal.dtype)
    jacobian = jax.grad(lambda ws: jnp.sum(synthesize(ws) * noise))(ws)
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(jacobian), axis=2), axis=1))


def blur_sigma(nimg: Array, init_sigma: float, fade_kimg: float) -> Array:
    """Sigma in pixels after `nimg` images: a linear ramp from init_sigma to 0."""
    if init_sigma == 0 or fade_kimg == 0:
        return jnp.zeros((), jnp.float32)
    return init_sigma * jnp.maximum(
        1 - nimg.astype(jnp.float32) / (1000 * fade_kimg), 0
    )


def blur_taps(sigma: Array, radius: int) -> Float[Array, " taps"]:
    """2^-(k / sigma)^2 for |k| <= 3 sigma, of unit sum, in 2 radius + 1 taps."""
    k = jnp.arange(-radius, radius + 1, dtype=jnp.int32).astype(sigma.dtype)
    taps = jnp.exp2(-jnp.square(k / jnp.maximum(sigma, 1e-6)))
    taps = jnp.where(jnp.abs(k) <= jnp.floor(3 * sigma), taps, 0)
    return taps / jnp.sum(taps)


def blur(
    images: Float[Array, "N H W C"], sigma: Array, max_sigma: float
) -> Float[Array, "N H W C"]:
    """Separable blur with zero padding; sigma may be traced.

    `max_sigma` bounds sigma and fixes the shapes. Below 1/3 pixel nothing happens.
    """
    radius = int(3 * max_sigma)
    if radius == 0:
        return images

    def apply(images):
        taps = blur_taps(sigma, radius).astype(images.dtype)
        for axis, subscripts in ((1, "oh,nhwc->nowc"), (2, "ow,nhwc->nhoc")):
            n = jnp.arange(images.shape[axis], dtype=jnp.int32)
            offset = n[:, None] - n[None, :]
            inside = jnp.abs(offset) <= radius
            index = jnp.clip(offset + radius, 0, 2 * radius)
            matrix = jnp.where(inside, taps[index], 0)
            images = jnp.einsum(subscripts, matrix, images, precision="highest")
        return images

    return jax.lax.cond(3 * sigma >= 1, apply, lambda images: images, images)
