"""Times of metrics: of feature networks, and of each metric for an image.

Weights are random, which does not change the time. Distances between sets of features
are not included.
"""

import functools
from collections.abc import Iterator

import jax
import numpy as np

from afgan_jax import jax_settings
from afgan_jax.bench import clock
from afgan_jax.metrics import (
    cache,
    equivariance,
    evaluator,
    features,
    samples,
    sharding,
)
from afgan_jax.signal import pixels
from afgan_jax.signal.backends import dispatch

# Name of a row: the feature network that is applied to samples.
DRAWN = {"fid kid is": "inception", "pr": "vgg16", "fd_efficientnet": "efficientnet"}


def networks(shape: tuple[int, int, int], batch: int, *, repeats: int) -> Iterator:
    """A row for the features of images of this shape by each network."""
    images = np.random.RandomState(0).randint(0, 256, (batch, *shape)).astype(np.uint8)
    for net in (*DRAWN.values(), "lpips"):
        arguments = _params(net), images
        yield clock.measure(
            f"features {net}",
            clock.sides(evaluator.of_images(net)),
            lambda a=arguments: a,
            batch,
            repeats=repeats,
            naive=False,
        )


def whole(G, batch: int, *, repeats: int, naive: bool) -> Iterator[clock.Row]:
    """A row for drawing samples, and for each metric including its samples.

    naive: compare the metrics that consist of the generator.
    """
    network, numbers = _network(G), np.arange(batch)
    arguments = network.variables, numbers
    yield clock.measure(
        "draw",
        clock.sides(lambda *a: pixels.to_uint8(network.draw(*a, None))),
        lambda: arguments,
        batch,
        repeats=repeats,
        naive=naive,
    )
    parts = network.pairs, network.mapping, network.synthesize
    runs = {
        name: evaluator.of_samples(net, network.draw) for name, net in DRAWN.items()
    }
    runs["ppl"] = evaluator.of_paths(*parts)
    options = {"repeats": repeats, "naive": False}
    for name, run in runs.items():
        params = _params((DRAWN | {"ppl": "lpips"})[name])
        constants = (network.variables, params), numbers
        run = clock.sides(run)
        yield clock.measure(name, run, lambda c=constants: c, batch, **options)
    if network.can_move:
        yield from _motions(G, batch, repeats, naive)


def _motions(G, batch: int, repeats: int, naive: bool) -> Iterator[clock.Row]:
    """A row for each equivariance metric, including its work on the host."""
    for kind in equivariance.KINDS:
        images, seconds = _clock_motion(G, kind, batch, repeats)
        naive_seconds = None
        if naive:
            with dispatch.wishes(**dispatch.NAIVE):
                _, naive_seconds = _clock_motion(G, kind, batch, 1)
        yield clock.Row(kind, images, seconds, naive_seconds=naive_seconds)


def _clock_motion(G, kind: str, batch: int, repeats: int) -> tuple[int, float]:
    """(images, median seconds) of two batches."""
    over = sharding.BatchSharding.over(batch)
    # A new network, so that it is traced with the current wishes.
    subject = evaluator.Subject(over, None, _network(G), {}, cache.Store(lambda: None))
    images = 2 * over.batch
    run = functools.partial(subject.motion_errors, kind, images)
    return images, clock.median_seconds(run, repeats)


def _network(G) -> samples.Network:
    c_dim = G.mapping.c_dim
    labels = np.arange(c_dim, dtype=np.int32) if c_dim else np.zeros((1, 0), np.float32)
    variables = jax.jit(G.initialize)(jax_settings.key(0))
    return samples.of_generator(G, variables, labels, jax_settings.key(1))


@functools.cache
def _params(net: str) -> dict:
    images = np.zeros((1, 32, 32, 3), np.uint8)
    return jax.jit(features.NETS[net].module.init)(jax_settings.key(0), images)[
        "params"
    ]
