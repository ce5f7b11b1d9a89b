"""Metrics by name, such as fid50k_full; a name says how the metric is computed.

    fidN kidN prN3      N generated images against as many real ones; _full: all
    fdN_efficientnet    as fid, of another network's features: not comparable with FID
    isN                 inception score of N generated images
    ppl2_wend           path length in W at end points, 50000 pairs; pplN2_wend: N
    eqtN_int eqtN_frac eqrN    equivariance in dB, with a 95 % confidence interval

N is a number such as 500 or 50k. Source: the names are those of the published program.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64

from afgan_jax import errors
from afgan_jax.metrics import (
    equivariance,
    evaluator,
    features,
    frechet,
    inception_score,
    kernel,
    path_length,
    precision_recall,
    weights,
)
from afgan_jax.metrics.evaluator import Subject
from afgan_jax.metrics.samples import ImageSource, Network

USUAL = "50k"
MOST_REALS = 200_000  # used by precision and recall


@dataclasses.dataclass(frozen=True)
class Metric:
    """A parsed name: `samples` images against `reals` (None: all there are)."""

    name: str
    row: "Row"
    samples: int
    reals: int | None

    def find(self, subject: Subject) -> "Found":
        """The metric of a subject. Raises ValueError as `check`."""
        self.check(subject)
        return self.row.find(self, subject)

    def check(self, subject: Subject) -> None:
        """Raises ValueError, before computing, if the subject cannot be measured."""
        self.row.check(self, subject)
        if self.row.net is not None:
            subject.params(self.row.net)

    def refuse(self, why: str):
        """The error of a subject that the metric cannot measure."""
        return errors.SettingError("metrics", self.name, why)


class Found(NamedTuple):
    """Results by name, the metric's own value first; `decibels` of each image."""

    values: dict[str, float]
    decibels: Float64[np.ndarray, " N"] | None = None


class Row(NamedTuple):
    """A row of METRICS.

    example: a name; pattern: matches names, with groups n and full; net: the network
    whose weights are needed; lower: whether less is better; least: the fewest images of
    each set; check: raises ValueError for a subject that cannot be measured.
    """

    example: str
    pattern: str
    net: str | None
    lower: bool
    least: int
    check: Callable[[Metric, Subject], Any]
    find: Callable[[Metric, Subject], Found]


def parse(name: str) -> Metric:
    """The metric of this name. Raises ValueError for an unknown name."""
    for row in METRICS:
        match = re.fullmatch(row.pattern, name)
        if match is None:
            continue
        groups = match.groupdict()
        samples = _number(groups["n"] or USUAL)
        if not row.least <= samples < 2**31:
            why = f"must ask for at least {row.least} images, and fewer than 2**31"
            raise errors.SettingError("metrics", name, why)
        full = groups.get("full") is not None
        return Metric(name, row, samples, None if full else samples)
    examples = ", ".join(row.example for row in METRICS)
    why = f"is unknown: use one of {examples}, with any number"
    raise errors.SettingError("metrics", name, why)


def parse_all(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names. Raises ValueError as `parse`, and for duplicates."""
    metrics = [parse(name.strip()) for name in names if name.strip()]
    for metric in metrics:
        if metrics.count(metric) > 1:
            raise metric.refuse("is given twice: give it once")
    return metrics


def _number(text: str) -> int:
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text)


def _needs_images(metric: Metric, subject: Subject) -> None:
    fakes, count = subject.fakes, metric.samples
    if isinstance(fakes, ImageSource) and fakes.count < count:
        raise metric.refuse(
            f"needs {count} images, but there are {fakes.count}: give more, or ask for"
            " fewer, as fid1k does"
        )


def _needs_sets(metric: Metric, subject: Subject) -> None:
    _needs_images(metric, subject)
    if subject.reals is None:
        raise metric.refuse("compares with real images: give them as `data`")
    reals, least = subject.reals(), metric.reals or metric.row.least
    real, fake = (
        "{1}x{0} pixels of {2} channels".format(*source.shape)
        for source in (reals, subject.fakes)
    )
    if real != fake:
        raise metric.refuse(
            f"needs images of one size: real images are {real}, the others {fake}:"
            " convert one set by dataset convert, to the other's size and channels"
        )
    if reals.count < least:
        raise metric.refuse(
            f"needs {least} real images, but there are {reals.count}: give more, or use"
            " all there are, as fid1k_full does"
        )


def _needs_generator(metric: Metric, subject: Subject) -> None:
    if not isinstance(subject.fakes, Network):
        raise metric.refuse("needs a generator: give a run instead of images")


def _needs_motion(metric: Metric, subject: Subject) -> None:
    _needs_generator(metric, subject)
    if not subject.fakes.can_move:
        raise metric.refuse(
            "needs an input that can be moved, which a StyleGAN2 generator does not"
            " have: leave it out"
        )


def _frechet(net: str) -> Callable:
    def find(metric: Metric, subject: Subject) -> Found:
        real = subject.of_reals(net, metric.reals, evaluator.moments)
        fake = subject.of_fakes(net, metric.samples, evaluator.moments)
        return Found({metric.name: frechet.distance(_moments(real), _moments(fake))})

    return find


def _moments(arrays: evaluator.Arrays) -> frechet.Moments:
    return frechet.Moments(int(arrays["count"]), arrays["total"], arrays["products"])


def _features(metric: Metric, subject: Subject, most: int | None = None) -> tuple:
    """Features of real and of generated images."""
    net, limit = metric.row.net, min(filter(None, (metric.reals, most)), default=None)
    real = subject.of_reals(net, limit, evaluator.stacked)["features"]
    return real, subject.of_fakes(net, metric.samples, evaluator.stacked)["features"]


def _kernel(metric: Metric, subject: Subject) -> Found:
    return Found({metric.name: kernel.distance(*_features(metric, subject))})


def _precision_recall(metric: Metric, subject: Subject) -> Found:
    found = precision_recall.precision_recall(*_features(metric, subject, MOST_REALS))
    names = f"{metric.name}_precision", f"{metric.name}_recall"
    return Found(dict(zip(names, found)))


def _inception_score(metric: Metric, subject: Subject) -> Found:
    net, count = metric.row.net, metric.samples
    logits = subject.of_fakes(net, count, evaluator.stacked)["features"]
    mean, std = inception_score.score(jax.device_get(jax.nn.softmax(logits)))
    return Found({f"{metric.name}_mean": mean, f"{metric.name}_std": std})


def _path_length(metric: Metric, subject: Subject) -> Found:
    found = path_length.mean(subject.path_lengths(metric.samples))
    return Found({metric.name: found})


def _equivariance(kind: str) -> Callable:
    def find(metric: Metric, subject: Subject) -> Found:
        sums = subject.motion_errors(kind, metric.samples)
        values = {metric.name: equivariance.psnr(sums)}
        if len(sums) > 1:
            interval = equivariance.confidence_interval(sums)
            values |= zip((f"{metric.name}_low", f"{metric.name}_high"), interval)
        return Found(values, equivariance.psnr_of_each(sums))

    return find


N, FULL = r"(?P<n>\d+k?)", "(?P<full>_full)?"
FD = f"fd{N}?_efficientnet{FULL}"
K, SPLITS = precision_recall.NEIGHBOURS, inception_score.SPLITS
_fid, _fd = _frechet("inception"), _frechet("efficientnet")
_eqt_int, _eqt_frac, _eqr = map(_equivariance, ("eqt_int", "eqt_frac", "eqr"))
SETS, MADE, PATHS = _needs_sets, _needs_images, _needs_generator
MOTION = _needs_motion
METRICS = (
    Row("fid50k_full", f"fid{N}{FULL}", "inception", True, 2, SETS, _fid),
    Row("kid50k_full", f"kid{N}{FULL}", "inception", True, 2, SETS, _kernel),
    Row("pr50k3_full", f"pr{N}3{FULL}", "vgg16", False, K + 1, SETS, _precision_recall),
    Row("ppl2_wend", f"ppl{N}?2_wend", "lpips", True, 1, PATHS, _path_length),
    Row("is50k", f"is{N}", "inception_logits", False, SPLITS, MADE, _inception_score),
    Row("fd50k_efficientnet", FD, "efficientnet", True, 2, SETS, _fd),
    Row("eqt50k_int", f"eqt{N}_int", None, False, 1, MOTION, _eqt_int),
    Row("eqt50k_frac", f"eqt{N}_frac", None, False, 1, MOTION, _eqt_frac),
    Row("eqr50k", f"eqr{N}", None, False, 1, MOTION, _eqr),
)


def check_weights(metrics: list[Metric], paths: Mapping) -> None:
    """Raises ValueError if weights that the metrics need are missing."""
    for file in _files(metrics):
        weights.locate(file, paths.get(file))


def prepare(metrics: list[Metric]) -> Iterator[tuple[str, Any]]:
    """Fetches the weights that the metrics need, and yields (name, file) of each.

    Raises ValueError if they need none.
    """
    files = _files(metrics)
    if not files:
        names = [metric.name for metric in metrics]
        why = "need no weights: leave out prepare"
        raise errors.SettingError("metrics", names, why)
    for file in files:
        yield file, weights.prepare(file)


def _files(metrics: list[Metric]) -> dict[str, None]:
    """The files of weights that the metrics need, in order."""
    nets = [metric.row.net for metric in metrics if metric.row.net is not None]
    return dict.fromkeys(file for net in nets for file in features.NETS[net].files)
