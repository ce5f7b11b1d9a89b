"""Metrics of a generator, of images, or during training, by name."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from afgan_jax import errors
from afgan_jax.metrics import cache, registry, samples, sharding
from afgan_jax.metrics.evaluator import Subject


class Result(NamedTuple):
    """The values of a metric, or the fault that prevented them."""

    metric: registry.Metric
    values: dict[str, float]
    seconds: float
    fault: str | None


Evaluate = Callable[[Any], Iterator[Result]]


def parse(*, names: tuple | str = (), batch: int = 16) -> list[registry.Metric]:
    """The metrics of these names, a tuple or separated by commas.

    batch: how many images are computed at a time, on all devices together.
    Raises ValueError for names that are unknown or given twice, and for missing
    weights.
    """
    if batch < 1:
        raise errors.SettingError("metrics.batch", batch, "must be at least 1")
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
    """Yields (metric, its values, seconds) for each metric of `fakes`.

    fakes: a generator, or images of any origin. reals: opens the real images when they
    are first needed. weights: files of the feature networks by name; None: those in the
    cache. batch: images at a time, on all devices together.
    Raises ValueError, before computing, if a metric cannot be measured.
    """
    over = sharding.BatchSharding.over(batch)
    store = cache.Store(cache.usual_folder)
    subject = Subject(over, reals, fakes, dict(weights or {}), store)
    for metric in metrics:
        metric.check(subject)
    for metric in metrics:
        start = time.perf_counter()
        found = metric.find(subject)
        yield metric, found, time.perf_counter() - start


def make_evaluate(metrics: list[registry.Metric], subject: Subject) -> Evaluate:
    """evaluate(variables) yields the result of each metric of a generator's variables.

    subject: of that generator. An error of a metric is part of its result. Raises
    ValueError at once for a metric that cannot be measured.
    """
    for metric in metrics:
        metric.check(subject)

    def evaluate(variables):
        constants = subject.fakes.variables | {"G": variables}
        fakes = dataclasses.replace(subject.fakes, variables=constants)
        for metric in metrics:
            yield _result(metric, dataclasses.replace(subject, fakes=fakes))

    return evaluate


def _result(metric: registry.Metric, subject: Subject) -> Result:
    start, values, fault = time.perf_counter(), {}, None
    try:
        values = metric.find(subject).values
    except Exception as error:  # no error of a metric may end the training
        if jax.process_count() > 1 and errors.may_be_of_peers(error):
            raise
        fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Result(metric, values, time.perf_counter() - start, fault)
