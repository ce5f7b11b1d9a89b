"""Perceptual path length: how far images move for a small step between two latents.

    PPL = E[ |e(g(t)) - e(g(t + eps))|^2 ] / eps^2

where g(t) is the image at t between two random latents and e an embedding of images
0..255 whose squared distance is perceptual (LPIPS). The mean leaves out distances
beyond the 1st and 99th percentile.

Source: Karras et al. 2019, A style-based generator architecture, Sec. 4.1; the end
points' variant in W, Karras et al. 2020, Analyzing and improving StyleGAN, Sec. 3.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.metrics import resize

EPSILON = 1e-4
LARGEST = 256  # pixels; larger images are averaged down before they are compared

Latents = Float[Array, "N z_dim"]
Map = Callable[[Latents, Float[Array, "N c_dim"]], Float[Array, "N L w_dim"]]
Synthesize = Callable[[Float[Array, "N L w_dim"]], Float[Array, "N H W C"]]
Embed = Callable[[Float[Array, "N H W 3"]], Float[Array, "N d"]]


def distances(
    mapping: Map,
    synthesize: Synthesize,
    embed: Embed,
    z0: Latents,
    z1: Latents,
    c: Float[Array, "N c_dim"],
    t: Float[Array, " N"],
    *,
    space: str = "w",
    epsilon: float | Float[Array, ""] = EPSILON,
    crop: bool = False,
) -> Float[Array, " N"]:
    """The distance of each pair (z0, z1) at t in [0, 1], before the mean.

    `synthesize` gets the ws at t of all pairs, then those at t + epsilon; image i and
    image N + i should have the same noise.
    space: "w", a straight line between ws, or "z", along the sphere. crop: compare only
    the middle of faces, rows 3/8 to 7/8 and columns 2/8 to 6/8.
    """
    starts, ends = t, t + epsilon
    if space == "w":
        w0, w1 = mapping(z0, c), mapping(z1, c)
        ws = [w0 + (w1 - w0) * s[:, None, None] for s in (starts, ends)]
    else:
        ws = [mapping(_along_sphere(z0, z1, s), c) for s in (starts, ends)]
    images = _compared(synthesize(jnp.concatenate(ws)), crop)
    before, after = jnp.split(embed(images), 2)
    return jnp.sum((before - after) ** 2, axis=1) / epsilon**2


def mean(distances: Float[np.ndarray, " N"]) -> float:
    """Their mean from the 1st to the 99th percentile, both included."""
    low = np.percentile(distances, 1, method="lower")
    high = np.percentile(distances, 99, method="higher")
    kept = distances[(distances >= low) & (distances <= high)]
    return float(np.mean(kept, dtype=np.float64))


def _along_sphere(a: Latents, b: Latents, t: Float[Array, " N"]) -> Latents:
    a, b = _unit(a), _unit(b)
    cosine = jnp.sum(a * b, axis=1, keepdims=True)
    angle = t[:, None] * jnp.arccos(cosine)
    across = _unit(b - cosine * a)
    return _unit(a * jnp.cos(angle) + across * jnp.sin(angle))


def _unit(v: Latents) -> Latents:
    return v / jnp.linalg.norm(v, axis=1, keepdims=True)


def _compared(images: Float[Array, "N H W C"], crop: bool) -> Float[Array, "N h w 3"]:
    """RGB images of 0..255, downsampled by the factor of the uncropped images."""
    if images.shape[3] == 4:  # before any of it is averaged
        seen = resize.as_rgb((jnp.clip(images, -1, 1) + 1) * (255 / 2))
        images = seen / (255 / 2) - 1
    factor = min(images.shape[1:3]) // LARGEST
    if crop:
        down, right = (side // 8 for side in images.shape[1:3])
        images = images[:, 3 * down : 7 * down, 2 * right : 6 * right]
    n, h, w, c = images.shape
    if factor > 1:
        h, w = h - h % factor, w - w % factor
        images = images[:, :h, :w]
        blocks = images.reshape(n, h // factor, factor, w // factor, factor, c)
        images = blocks.mean(axis=(2, 4))
    images = (images + 1) * (255 / 2)
    return jnp.broadcast_to(images, (*images.shape[:3], 3)) if c == 1 else images
