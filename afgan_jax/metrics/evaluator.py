"""What a metric judges, and the features, motions and paths found in it."""

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
from afgan_jax.metrics.sharding import BatchSharding
from afgan_jax.signal import pixels


@dataclasses.dataclass(frozen=True)
class Subject:
    """Images, and how features are found in them.

    reals: opens them, when they are first asked for. fakes: a generator, or pictures of
    any origin. weights: see `features.features`.
    store: where what is found in real pictures is kept.
    """

    spread: BatchSharding
    reals: Callable[[], ImageSource] | None
    fakes: Network | ImageSource
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
        network = self.generator("equivariance", moves=True)
        options = {"num_samples": count, "kinds": (kind,)}
        return equivariance.measure_network(network, self.spread, **options)[kind]

    def path_lengths(self, count: int) -> Float[np.ndarray, " N"]:
        """Distances of `path_length`, in W between end points."""
        network = self.generator("path length")
        parts = network.pairs, network.mapping, network.synthesize
        run = _compiled(self.spread, of_paths, *parts)
        constants = network.variables, self.params("lpips")
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

    def generated(self, count: int) -> Network | ImageSource:
        """What is judged. Raises ValueError if there are fewer than `count`."""
        if isinstance(self.fakes, ImageSource) and self.fakes.count < count:
            raise ValueError(
                f"there are {self.fakes.count} images, but {count} are asked for: give"
                " more, or ask for fewer, as fid1k does"
            )
        return self.fakes

    def comparable(self, least: int) -> ImageSource:
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
        reals, params = self.comparable(1), self.params(net)
        count = min(reals.count, limit or reals.count)
        key = (what, net, cache.digest_of(params), reals.digest(count), count)
        return self.store.get(
            key, lambda: collect(self._found(net, params, reals, count))
        )

    def params(self, net: str) -> dict:
        """Of a network of features. Raises ValueError if its weights are not right."""
        return _load(net, tuple(sorted(self.weights.items())))

    def _of_fakes(self, net: str, count: int) -> Iterator[np.ndarray]:
        return self._found(net, self.params(net), self.generated(count), count)

    def _found(self, net: str, params, source, count: int) -> Iterator[np.ndarray]:
        """Features of pictures 0 .. count - 1, in batches."""
        if isinstance(source, ImageSource):
            run = _compiled(self.spread, of_images, net)
            return self.spread.map(run, params, source.read, count)
        run = _compiled(self.spread, of_drawn, net, source.draw)
        constants = source.variables, params
        return self.spread.map(run, constants, lambda numbers: numbers, count)


@functools.cache
def _compiled(spread: BatchSharding, make: Callable, *arguments) -> Callable:
    """make(*arguments), compiled once for all metrics that need it."""
    return spread.compile(make(*arguments))


def of_images(net: str) -> Callable:
    """run(params, images uint8 [n H W C]) -> features [n d]."""
    return functools.partial(_features, net)


def of_drawn(net: str, draw: Draw) -> Callable:
    """run((variables, params), numbers) -> features [n d] of pictures as bytes."""

    def run(constants, numbers):
        variables, params = constants
        return _features(net, params, pixels.to_uint8(draw(variables, numbers, None)))

    return run


def of_paths(pairs, mapping, synthesize) -> Callable:
    """run((variables, params), numbers) -> distances [n] of `path_length`."""

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

    return run


@functools.cache
def _load(net: str, weights: tuple) -> dict:
    return features.load(net, dict(weights))


def _features(net: str, params: dict, images: Images) -> Float[Array, "n d"]:
    row = features.NETS[net]
    return row.module.apply({"params": params}, images)[row.tap]


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
