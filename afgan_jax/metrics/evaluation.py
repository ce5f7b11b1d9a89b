"""Metrics of a generator while it trains: chosen by name, never the end of a run."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from afgan_jax.metrics import cache, registry, samples, sharding
from afgan_jax.metrics import weights as files
from afgan_jax.metrics.evaluator import Subject


class Result(NamedTuple):
    """What a metric found, or why it found nothing."""

    metric: registry.Metric
    values: dict[str, float]
    seconds: float
    fault: str | None


Evaluate = Callable[[Any], Iterator[Result]]


def parse(*, names: tuple | str = (), batch: int = 16) -> list[registry.Metric]:
    """The metrics of these names, a tuple or separated by commas.

    batch: how many images are made at a time, on all devices together.
    Raises ValueError for a name that is unknown or there twice, and for weights that
    are missing.
    """
    if batch < 1:
        raise ValueError(f"metrics.batch={batch} must be at least 1")
    names = names.split(",") if isinstance(names, str) else names
    metrics = registry.parse_all(names)
    registry.check_weights(metrics, {})
    return metrics


def measure(
    metrics: list[registry.Metric],
    fakes: samples.Network | samples.ImageSource,
    reals: Callable[[], samples.ImageSource] | None = None,
    *,
    weights: Mapping[str, str] | None = None,
    batch: int = 16,
) -> Iterator[tuple[registry.Metric, registry.Found, float]]:
    """Yields (metric, what it found, seconds) for each metric of what is judged.

    fakes: a generator, or images of any origin; reals: opens the real images, when
    they are first asked for. weights: files of the networks of features, by name, None:
    those in the cache. batch: images at a time, on all devices together.
    Raises ValueError, before anything is computed, if one cannot be measured.
    """
    over = sharding.BatchSharding.over(batch)
    store = cache.Store(files.cache_folder() / "metrics")
    subject = Subject(over, reals, fakes, dict(weights or {}), store)
    for metric in metrics:
        metric.check(subject)
    for metric in metrics:
        start = time.perf_counter()
        found = metric.find(subject)
        yield metric, found, time.perf_counter() - start


def make_evaluate(metrics: list[registry.Metric], judged: Subject) -> Evaluate:
    """evaluate(variables) yields the result of each metric of a generator's variables.

    judged: of that generator. An error of a metric is told by its result. Raises
    ValueError at once for a metric that cannot be measured of it.
    """
    for metric in metrics:
        metric.check(judged)

    def evaluate(variables):
        constants = judged.fakes.variables | {"G": variables}
        fakes = dataclasses.replace(judged.fakes, variables=constants)
        for metric in metrics:
            yield _result(metric, dataclasses.replace(judged, fakes=fakes))

    return evaluate


def _result(metric: registry.Metric, judged: Subject) -> Result:
    start, values, fault = time.perf_counter(), {}, None
    try:
        values = metric.evaluate(judged)
    except Exception as error:  # whatever it is, it must not end days of training
        fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Result(metric, values, time.perf_counter() - start, fault)
