"""What a metric judges: pictures by number, real and generated, and their features."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from afgan_jax.metrics import cache, equivariance, features, frechet, path_length
from afgan_jax.metrics.features import Images
from afgan_jax.metrics.spread import Numbers, Spread

Draw = Callable[[Any, Numbers, Any], Float[Array, "n H W C"]]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """`read` numbers of `count` pictures; `digest(n)` names the first n's content.

    shape: (H, W, C) of each.
    """

    read: Callable[[Numbers], UInt8[np.ndarray, "n H W C"]]
    shape: tuple[int, int, int]
    count: int
    digest: Callable[[int], str]


@dataclasses.dataclass(frozen=True)
class Network:
    """A generator: draw(variables, numbers, transform) are its pictures in [-1, 1].

    `pairs(variables, numbers)` are latents and classes of path lengths, (z0, z1, c);
    `mapping(variables, z, c)` are ws. `synthesize(variables, ws, numbers)` are pictures
    with the noise of these numbers (None: the constant one); it takes also transform=,
    if the input can be moved. transform is None, [3 3], or for `synthesize` [N 3 3].
    shape: (H, W, C) of a picture. resolution: None if the input cannot be moved.
    """

    variables: Any
    draw: Draw
    shape: tuple[int, int, int]
    resolution: int | None
    pairs: Callable
    mapping: Callable
    synthesize: Callable


@dataclasses.dataclass(frozen=True)
class Judged:
    """Pictures, and how features are found in them.

    reals: opens them, when they are first asked for. fakes: a generator, or pictures of
    any origin. weights: see `features.features`.
    store: where what is found in real pictures is kept.
    """

    spread: Spread
    reals: Callable[[], Pictures] | None
    fakes: Network | Pictures
    weights: dict
    store: cache.Store

    def real_moments(self, net: str, limit: int | None) -> frechet.Moments:
        """Of all real pictures, or of as many of them."""
        kept = self._of_reals(net, limit, "moments", _moments)
        return frechet.Moments(int(kept["count"]), kept["total"], kept["products"])

    def real_features(self, net: str, limit: int | None) -> Float[np.ndarray, "N d"]:
        return self._of_reals(net, limit, "features", _stacked)["features"]

    def fake_moments(self, net: str, count: int) -> frechet.Moments:
        return _sum(self._of_fakes(net, count))

    def fake_features(self, net: str, count: int) -> Float[np.ndarray, "N d"]:
        return _stacked(self._of_fakes(net, count))["features"]

    def motion_errors(self, kind: str, count: int) -> Float[np.ndarray, "N 2"]:
        """(squared error, mask) sums of each picture; see `equivariance`."""
        network, spread = self.generator("equivariance", moves=True), self.spread
        variables = spread.everywhere(network.variables)
        draw = _moved(spread, network.draw)
        batches = -(-count // spread.batch)

        def render(start, transform):
            numbers = np.arange(start, start + spread.batch)
            images = draw(variables, transform, numbers[spread.mine])
            return np.asarray(images.addressable_data(0))

        amounts = equivariance.draw_amounts(
            batches, seed=0, resolution=network.resolution, kinds=(kind,)
        )
        starts = range(0, batches * spread.batch, spread.batch)
        return equivariance.sample_errors(render, starts, amounts)[kind][:count]

    def path_lengths(self, count: int) -> Float[np.ndarray, " N"]:
        """Distances of `path_length`, in W between end points."""
        network = self.generator("path length")
        run = _path_lengths(
            self.spread, network.pairs, network.mapping, network.synthesize
        )
        constants = network.variables, self._params("lpips")
        return np.concatenate(
            list(self.spread.map(run, constants, lambda numbers: numbers, count))
        )

    def generator(self, what: str, *, moves: bool = False) -> Network:
        """The generator. Raises ValueError without, or if its input `moves` and cannot.

        what: for whom.
        """
        if not isinstance(self.fakes, Network):
            raise ValueError(f"{what} is for generators: pass --run, not --images")
        if moves and self.fakes.resolution is None:
            raise ValueError("this is a StyleGAN2 generator: it has no input to move")
        return self.fakes

    def generated(self, count: int) -> Network | Pictures:
        """What is judged. Raises ValueError if there are fewer than `count`."""
        if isinstance(self.fakes, Pictures) and self.fakes.count < count:
            raise ValueError(
                f"there are {self.fakes.count} images, but {count} are asked for: give"
                " more, or ask for fewer, as fid1k does"
            )
        return self.fakes

    def comparable(self, least: int) -> Pictures:
        """The real pictures.

        Raises ValueError if there are fewer than `least`, or they are of another size.
        """
        if self.reals is None:
            raise ValueError("there are no real pictures to compare with: pass --data")
        reals, sizes = self.reals(), []
        for shape in (reals.shape, self.fakes.shape):
            sizes.append("{}x{} pixels of {} channels".format(*shape))
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"real pictures are {sizes[0]}, those judged {sizes[1]}: make them"
                " alike, by dataset convert with --size and --channels"
            )
        if reals.count < least:
            raise ValueError(
                f"there are {reals.count} real pictures, but {least} are needed: give"
                " more, or ask for all there are, as fid1k_full does"
            )
        return reals

    def _of_reals(self, net: str, limit: int | None, what: str, collect) -> dict:
        reals, params = self.comparable(1), self._params(net)
        count = min(reals.count, limit or reals.count)
        key = (what, net, cache.digest_of(params), reals.digest(count), count)
        return self.store.get(
            key, lambda: collect(self._found(net, params, reals, count))
        )

    def _params(self, net: str) -> dict:
        return _load(net, tuple(sorted(self.weights.items())))

    def _of_fakes(self, net: str, count: int) -> Iterator[np.ndarray]:
        return self._found(net, self._params(net), self.generated(count), count)

    def _found(self, net: str, params, source, count: int) -> Iterator[np.ndarray]:
        """Features of pictures 0 .. count - 1, in batches."""
        if isinstance(source, Pictures):
            run = _of_images(self.spread, net)
            return self.spread.map(run, params, source.read, count)
        run = _of_numbers(self.spread, net, source.draw)
        constants = source.variables, params
        return self.spread.map(run, constants, lambda numbers: numbers, count)


# Compiled once for all metrics of a kind.
@functools.cache
def _of_images(spread: Spread, net: str) -> Callable:
    return spread.compile(functools.partial(_features, net))


@functools.cache
def _of_numbers(spread: Spread, net: str, draw: Draw) -> Callable:
    def run(constants, numbers):
        variables, params = constants
        return _features(net, params, to_uint8(draw(variables, numbers, None)))

    return spread.compile(run)


@functools.cache
def _moved(spread: Spread, draw: Draw) -> Callable:
    return spread.compile(lambda v, transform, numbers: draw(v, numbers, transform))


@functools.cache
def _path_lengths(spread: Spread, pairs, mapping, synthesize) -> Callable:
    def run(constants, numbers):
        variables, params = constants
        return path_length.distances(
            functools.partial(mapping, variables),
            # The same noise for both ends of a step.
            functools.partial(synthesize, variables, numbers=jnp.tile(numbers, 2)),
            functools.partial(_features, "lpips", params),
            *pairs(variables, numbers),
            jnp.zeros(len(numbers)),
        )

    return spread.compile(run)


@functools.cache
def _load(net: str, weights: tuple) -> dict:
    return features.load(net, dict(weights))


def _features(net: str, params: dict, images: Images) -> Float[Array, "n d"]:
    row = features.NETS[net]
    return row.module.apply({"params": params}, images)[row.tap]


def of_archive(archive) -> Pictures:
    """The pictures of a data.archive.Archive."""

    def read(numbers):
        return np.stack([archive[int(i)][0] for i in numbers])

    shape = (archive.resolution, archive.resolution, archive.channels)
    return Pictures(read, shape, len(archive), archive.digest)


def of_generator(
    G, variables: dict, labels: Float[np.ndarray, "N c_dim"], key: jax.Array
) -> Network:
    """A networks.generator.Generator, with classes drawn from `labels`.

    Picture i has latents, a class and (StyleGAN2) noise of its own, drawn from `key`
    and i.
    """
    conditional = G.mapping.c_dim > 0
    constants = {"G": variables, "labels": labels, "key": jax.random.key_data(key)}

    def keys(constants, numbers, purpose):
        own = jax.random.fold_in(jax.random.wrap_key_data(constants["key"]), purpose)
        return jax.vmap(jax.random.fold_in, (None, 0))(own, numbers)

    def with_noise(constants, numbers):
        return _draw_noise(constants["G"], keys(constants, numbers, 2))

    def inputs(constants, numbers, purpose):
        own = keys(constants, numbers, purpose)
        z = jax.vmap(lambda k: jax.random.normal(k, (G.mapping.z_dim,)))(own)
        count = len(constants["labels"])
        pick = jax.vmap(
            lambda k: jax.random.randint(jax.random.fold_in(k, 1), (), 0, count)
        )
        return z, constants["labels"][pick(own)]

    def draw(constants, numbers, transform):
        z, c = inputs(constants, numbers, 0)
        # StyleGAN2 takes no transform, so none is passed where none is asked for.
        motion = {} if transform is None else {"transform": transform}
        variables = with_noise(constants, numbers)
        return G.apply(variables, z, c if conditional else None, **motion)

    def pairs(constants, numbers):
        z0, c = inputs(constants, numbers, 0)
        z1, _ = inputs(constants, numbers, 1)
        return z0, z1, c

    def mapping(constants, z, c):
        return G.apply(constants["G"], z, c if conditional else None, method="map")

    def synthesize(constants, ws, numbers=None, **motion):
        own = constants["G"] if numbers is None else with_noise(constants, numbers)
        return G.apply(own, ws, method="synthesize", **motion)

    shape, resolution = _size(G.synthesis)
    return Network(constants, draw, shape, resolution, pairs, mapping, synthesize)


def _size(synthesis) -> tuple[tuple[int, int, int], int | None]:
    """(shape, resolution) of a Network."""
    if hasattr(synthesis, "layers"):
        last = synthesis.layers[-1]
        return (*last.out_size, last.out_channels), last.out_size[0]
    n = synthesis.resolution
    return (n, n, synthesis.img_channels), None


def _draw_noise(variables: dict, keys: Array) -> dict:
    """The variables with noise for an image of each key in place of the constant one.

    As drawing it at random within the network, but alike in any batch.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(variables)

    def drawn(layer, size):
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, layer)
        return jax.vmap(lambda key: jax.random.normal(key, size))(own)

    found = [
        drawn(i, leaf.shape) if path[-1].key == "noise_const" else leaf
        for i, (path, leaf) in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, found)


def to_uint8(images: Float[Array, "*shape"]) -> UInt8[Array, "*shape"]:
    """127.5 x + 128, clipped and cut to whole numbers, as the published metrics do."""
    return jnp.clip(images * 127.5 + 128, 0, 255).astype(jnp.uint8)


def _sum(batches: Iterator[np.ndarray]) -> frechet.Moments:
    return functools.reduce(operator.add, map(frechet.Moments.of, _gathered(batches)))


def _gathered(batches: Iterator[np.ndarray], rows: int = 1024) -> Iterator[np.ndarray]:
    """The same rows in larger pieces: products of few ones are mostly writing."""
    pieces, count = [], 0
    for batch in batches:
        pieces.append(batch)
        count += len(batch)
        if count >= rows:
            yield np.concatenate(pieces)
            pieces, count = [], 0
    if pieces:
        yield np.concatenate(pieces)


def _moments(batches: Iterator[np.ndarray]) -> dict:
    return {name: np.asarray(a) for name, a in vars(_sum(batches)).items()}


def _stacked(batches: Iterator[np.ndarray]) -> dict:
    return {"features": np.concatenate(list(batches))}
