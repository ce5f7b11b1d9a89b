"""Images by number: those of an archive, and samples drawn from a generator."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from afgan_jax import jax_settings
from afgan_jax.metrics.sharding import BatchSharding, Numbers

Draw = Callable[[Any, Numbers, Any], Float[Array, "n H W C"]]


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """`count` images of shape (H, W, C); `digest(n)` identifies the first n."""

    read: Callable[[Numbers], UInt8[np.ndarray, "n H W C"]]
    shape: tuple[int, int, int]
    count: int
    digest: Callable[[int], str]


@dataclasses.dataclass(frozen=True)
class Network:
    """A generator whose samples have numbers.

    draw(variables, numbers, transform) -> samples in [-1, 1]; transform is None, [3 3]
    or [N 3 3]. pairs(variables, numbers) -> (z0, z1, c), two latents and a label each.
    mapping(variables, z, c) -> ws. synthesize(variables, ws, numbers) -> images, with
    the noise of these numbers (None: the constant noise).
    shape: (H, W, C) of an image. can_move: whether the input takes a transform.
    """

    variables: Any
    draw: Draw
    shape: tuple[int, int, int]
    can_move: bool
    pairs: Callable
    mapping: Callable
    synthesize: Callable

    def ws(self, variables: Any, numbers: Array) -> Float[Array, "n L w_dim"]:
        """ws of samples by number."""
        z, _, c = self.pairs(variables, numbers)
        return self.mapping(variables, z, c)


def of_archive(archive) -> ImageSource:
    """The images of a data.archive.Archive."""

    def read(numbers):
        return np.stack([archive[int(i)][0] for i in numbers])

    shape = (*archive.size, archive.channels)
    # Of a folder it reads all files.
    digest = functools.cache(archive.digest)
    return ImageSource(read, shape, len(archive), digest)


def of_generator(
    G,
    variables: dict,
    labels: Int[np.ndarray, "N"] | Float[np.ndarray, "N c_dim"],
    key: jax.Array,
) -> Network:
    """A networks.generator.Generator, with labels drawn from `labels`.

    labels: classes, or vectors. Raises ValueError for classes that G does not have.
    Sample i has its own latents, label and noise, drawn from `key` and i.
    """
    c_dim = G.mapping.c_dim
    conditional = c_dim > 0
    if labels.ndim == 1 and not 0 <= labels.min() <= labels.max() < c_dim:
        why = f"{labels.min()} to {labels.max()}, the generator takes 0 to {c_dim - 1}"
        raise ValueError(f"labels are classes {why}")
    constants = {"G": variables, "labels": labels, "key": jax.random.key_data(key)}

    def keys(constants, numbers, purpose):
        own = jax.random.fold_in(jax_settings.wrapped(constants["key"]), purpose)
        return jax.vmap(jax.random.fold_in, (None, 0))(own, numbers)

    def with_noise(constants, numbers):
        return _draw_noise(constants["G"], keys(constants, numbers, 2))

    def inputs(constants, numbers, purpose):
        own = keys(constants, numbers, purpose)
        size = (G.mapping.z_dim,)
        z = jax.vmap(lambda k: jax.random.normal(k, size, jnp.float32))(own)
        count = len(constants["labels"])
        pick = jax.vmap(
            lambda k: jax.random.randint(
                jax.random.fold_in(k, 1), (), 0, count, jnp.int32
            )
        )
        c = constants["labels"][pick(own)]
        return z, jax.nn.one_hot(c, c_dim, dtype=jnp.float32) if c.ndim == 1 else c

    def draw(constants, numbers, transform):
        z, c = inputs(constants, numbers, 0)
        # A constant input takes no transform, not even None.
        motion = {} if transform is None else {"transform": transform}
        variables = with_noise(constants, numbers)
        return G.apply(variables, z, c if conditional else None, **motion)

    def pairs(constants, numbers):
        z0, c = inputs(constants, numbers, 0)
        z1, _ = inputs(constants, numbers, 1)
        return z0, z1, c

    def mapping(constants, z, c):
        return G.apply(constants["G"], z, c if conditional else None, method="map")

    def synthesize(constants, ws, numbers=None):
        own = constants["G"] if numbers is None else with_noise(constants, numbers)
        return G.apply(own, ws, method="synthesize")

    net = G.synthesis
    shape = (*net.size, net.img_channels)
    return Network(constants, draw, shape, net.can_move, pairs, mapping, synthesize)


def of_model(
    model, labels: Any | np.ndarray | None = None, *, seed: int = 0
) -> Network:
    """The samples of an afgan_jax.Model, by number.

    labels: one for all samples, as in Model.c, or those to draw from: classes, an array
    of integers [M], or vectors [M c_dim]; None for a model without labels. Raises
    ValueError for labels that the model does not take.
    """
    many = np.ndim(labels) == 2 or model.are_classes(labels)
    rows = labels if many else model.c(labels, 1)
    rows = np.zeros((1, 0), np.float32) if rows is None else np.asarray(rows)
    key = jax_settings.key(seed)
    return of_generator(model.network, model.variables, rows, key)


def drawn(
    network: Network,
    sharding: BatchSharding,
    count: int,
    finish: Callable[[Array], Array] = lambda images: images,
) -> Iterator[np.ndarray]:
    """finish(samples [n H W C] in [-1, 1]) of samples 0 .. count - 1, in batches."""
    run = sharding.compile(lambda *a: finish(network.draw(*a, None)))
    return sharding.map(run, network.variables, count)


def _draw_noise(variables: dict, keys: Array) -> dict:
    """The variables with noise of its own for each key in place of the constant noise.

    Unlike random noise in the network, it does not depend on the batch.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(variables)

    def drawn(layer, size):
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, layer)
        return jax.vmap(lambda key: jax.random.normal(key, size, jnp.float32))(own)

    found = [
        drawn(i, leaf.shape) if path[-1].key == "noise_const" else leaf
        for i, (path, leaf) in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, found)
