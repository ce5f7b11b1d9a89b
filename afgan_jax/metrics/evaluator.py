"""What a metric measures: images, and the features, motions and paths found in them."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.metrics import cache, equivariance, features, frechet, path_length
from afgan_jax.metrics.features import Images
from afgan_jax.metrics.samples import Draw, ImageSource, Network
from afgan_jax.metrics.sharding import BatchSharding, compiled
from afgan_jax.signal import pixels

Arrays = dict[str, np.ndarray]
Collect = Callable[[Iterator[np.ndarray]], Arrays]


@dataclasses.dataclass(frozen=True)
class Subject:
    """The images that metrics measure, and how to find features in them.

    reals: opens the real images when they are first needed. fakes: a generator, or
    images of any origin. weights: the `paths` of `features.features`. store: keeps what
    is found in real images.
    """

    sharding: BatchSharding
    reals: Callable[[], ImageSource] | None
    fakes: Network | ImageSource
    weights: dict
    store: cache.Store

    def of_reals(self, net: str, limit: int | None, collect: Collect) -> Arrays:
        """`moments` or `stacked` features of the first `limit` real images; None: all.

        Those of the same images and weights are read from the store.
        """
        reals, params = self.reals(), self.params(net)
        count = min(reals.count, limit or reals.count)
        key = (collect.__name__, net, cache.digest_of(params), reals.digest(count))
        compute = functools.partial(self._features, net, params, reals, count)
        return self.store.get((*key, count), lambda: collect(compute()))

    def of_fakes(self, net: str, count: int, collect: Collect) -> Arrays:
        """`moments` or `stacked` features of the first `count` generated images."""
        return collect(self._features(net, self.params(net), self.fakes, count))

    def motion_errors(self, kind: str, count: int) -> Float[np.ndarray, "N 2"]:
        """(squared error, mask) sums of each image; see `equivariance`."""
        options = {"num_samples": count, "kinds": (kind,)}
        return equivariance.measure_network(self.fakes, self.sharding, **options)[kind]

    def path_lengths(self, count: int) -> Float[np.ndarray, " N"]:
        """Distances of `path_length`, in W between end points."""
        network = self.fakes
        parts = network.pairs, network.mapping, network.synthesize
        run = compiled(self.sharding, of_paths, *parts)
        constants = network.variables, self.params("lpips")
        return np.concatenate(list(self.sharding.map(run, constants, count)))

    def params(self, net: str) -> dict:
        """Parameters of a feature network. Raises ValueError if weights do not fit."""
        return _load(net, tuple(sorted(self.weights.items())))

    def _features(self, net: str, params, source, count: int) -> Iterator[np.ndarray]:
        """Features of images 0 .. count - 1, in batches."""
        if isinstance(source, ImageSource):
            run = compiled(self.sharding, of_images, net)
            return self.sharding.map(run, params, count, source.read)
        run = compiled(self.sharding, of_samples, net, source.draw)
        return self.sharding.map(run, (source.variables, params), count)


def of_images(net: str) -> Callable:
    """run(params, images uint8 [n H W C]) -> features [n d]."""
    return functools.partial(_apply, net)


def of_samples(net: str, draw: Draw) -> Callable:
    """run((variables, params), numbers) -> features [n d] of samples as bytes."""

    def run(constants, numbers):
        variables, params = constants
        return _apply(net, params, pixels.to_uint8(draw(variables, numbers, None)))

    return run


def of_paths(pairs, mapping, synthesize) -> Callable:
    """run((variables, params), numbers) -> distances [n] of `path_length`."""

    def run(constants, numbers):
        variables, params = constants
        return path_length.distances(
            functools.partial(mapping, variables),
            # The same noise for both ends of a step.
            functools.partial(synthesize, variables, numbers=jnp.tile(numbers, 2)),
            functools.partial(_apply, "lpips", params),
            *pairs(variables, numbers),
            jnp.zeros(len(numbers), jnp.float32),
        )

    return run


def moments(batches: Iterator[np.ndarray]) -> Arrays:
    """Those of `frechet` of features that come in batches, as arrays."""
    return {name: np.asarray(a) for name, a in vars(_sum(batches)).items()}


def stacked(batches: Iterator[np.ndarray]) -> Arrays:
    """{"features": all of them}."""
    return {"features": np.concatenate(list(batches))}


@functools.cache
def _load(net: str, weights: tuple) -> dict:
    return features.load(net, dict(weights))


def _apply(net: str, params: dict, images: Images) -> Float[Array, "n d"]:
    return features.apply(net, params, images)[features.NETS[net].tap]


def _sum(batches: Iterator[np.ndarray]) -> frechet.Moments:
    return functools.reduce(operator.add, map(frechet.Moments.of, _gathered(batches)))


def _gathered(batches: Iterator[np.ndarray], rows: int = 1024) -> Iterator[np.ndarray]:
    """The same rows in larger batches: products of few rows mostly write memory."""
    waiting, count = [], 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch)
        if count >= rows:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if waiting:
        yield np.concatenate(waiting)
