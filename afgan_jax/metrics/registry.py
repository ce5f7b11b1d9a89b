"""Metrics by name, such as fid50k_full: what they are called says how they are made.

    fidN kidN prN3      N generated pictures against as many real ones; _full: all
    fdN_efficientnet    as fid, of another network's features: not comparable with FID
    isN                 inception score of N generated pictures
    ppl2_wend           path length in W at end points, 50000 pairs; pplN2_wend: N
    eqtN_int eqtN_frac eqrN    equivariance in dB, with a 95 % confidence interval

N is a number such as 500 or 50k. Source: the names are those of the published program.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from afgan_jax import errors
from afgan_jax.metrics import (
    equivariance,
    features,
    frechet,
    inception_score,
    kernel,
    path_length,
    precision_recall,
    weights,
)
from afgan_jax.metrics.evaluator import Subject

USUAL = "50k"
MOST_REALS = 200_000  # whose neighbours are looked for


@dataclasses.dataclass(frozen=True)
class Metric:
    """A name, read: `samples` pictures, against `reals` (None: all there are)."""

    name: str
    row: "Row"
    samples: int
    reals: int | None

    def evaluate(self, judged: Subject) -> dict[str, float]:
        """The values that `find` finds."""
        return self.find(judged).values

    def find(self, judged: Subject) -> "Found":
        """What it says of what is judged. Raises ValueError as `check`."""
        self.check(judged)
        # Accelerators round the factors of products otherwise, and would be measured.
        with jax.default_matmul_precision("highest"):
            return self.row.find(self, judged)

    def check(self, judged: Subject) -> None:
        """Raises ValueError, before anything is computed, for what lacks."""
        self.row.check(self, judged)
        if self.row.net is not None:
            judged.params(self.row.net)


class Found(NamedTuple):
    """Results by name, the first being the metric's own value; dB of each image."""

    values: dict[str, float]
    decibels: Float64[np.ndarray, " N"] | None = None


class Row(NamedTuple):
    """A row of METRICS.

    example: a name; pattern: what names look like, with groups n and full; net: whose
    weights are needed, if any; lower: whether less is better; least: how many pictures
    it takes, of each kind; check: raises ValueError if it cannot judge what is there.
    """

    example: str
    pattern: str
    net: str | None
    lower: bool
    least: int
    check: Callable[[Metric, Subject], Any]
    find: Callable[[Metric, Subject], Found]


def parse(name: str) -> Metric:
    """The metric of that name. Raises ValueError, which lists names, for another."""
    for row in METRICS:
        match = re.fullmatch(row.pattern, name)
        if match is None:
            continue
        groups = match.groupdict()
        samples = _number(groups["n"] or USUAL)
        if not row.least <= samples < 2**31:
            raise ValueError(
                f"metric {name}: ask for at least {row.least} pictures, and for less"
                " than 2**31"
            )
        full = groups.get("full") is not None
        return Metric(name, row, samples, None if full else samples)
    examples = ", ".join(row.example for row in METRICS)
    raise ValueError(
        f"metric {name!r} is unknown; there are, with any number, {examples}"
    )


def parse_all(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names. Raises ValueError as `parse`, and for twice one."""
    metrics = [parse(name.strip()) for name in names if name.strip()]
    for metric in metrics:
        if metrics.count(metric) > 1:
            raise ValueError(f"metric {metric.name} is asked for twice: name it once")
    return metrics


def _number(text: str) -> int:
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text)


def _check_sets(metric: Metric, judged: Subject) -> None:
    judged.generated(metric.samples)
    judged.comparable(metric.reals or metric.row.least)


def _check_generated(metric: Metric, judged: Subject) -> None:
    judged.generated(metric.samples)


def _check_paths(metric: Metric, judged: Subject) -> None:
    judged.generator("path length")


def _check_motion(metric: Metric, judged: Subject) -> None:
    judged.generator("equivariance", moves=True)


def _frechet(net: str) -> Callable:
    def find(metric: Metric, judged: Subject) -> Found:
        real = judged.real_moments(net, metric.reals)
        fake = judged.fake_moments(net, metric.samples)
        return Found({metric.name: frechet.distance(real, fake)})

    return find


def _kernel(metric: Metric, judged: Subject) -> Found:
    real = judged.real_features("inception", metric.reals)
    fake = judged.fake_features("inception", metric.samples)
    return Found({metric.name: kernel.distance(real, fake)})


def _precision_recall(metric: Metric, judged: Subject) -> Found:
    real = judged.real_features("vgg16", min(metric.reals or MOST_REALS, MOST_REALS))
    fake = judged.fake_features("vgg16", metric.samples)
    precision, recall = precision_recall.precision_recall(real, fake)
    values = {f"{metric.name}_precision": precision, f"{metric.name}_recall": recall}
    return Found(values)


def _inception_score(metric: Metric, judged: Subject) -> Found:
    logits = judged.fake_features("inception_logits", metric.samples)
    mean, std = inception_score.score(jax.nn.softmax(jnp.asarray(logits)).__array__())
    return Found({f"{metric.name}_mean": mean, f"{metric.name}_std": std})


def _path_length(metric: Metric, judged: Subject) -> Found:
    found = path_length.mean(judged.path_lengths(metric.samples))
    return Found({metric.name: found})


def _equivariance(kind: str) -> Callable:
    def find(metric: Metric, judged: Subject) -> Found:
        sums = judged.motion_errors(kind, metric.samples)
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
SETS, MADE, PATHS, MOTION = _check_sets, _check_generated, _check_paths, _check_motion
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
    """Raises ValueError, before anything is computed, if weights are missing."""
    for metric in metrics:
        files = features.NETS[metric.row.net].files if metric.row.net else ()
        for file in files:
            weights.locate(file, paths.get(file))


def prepare(metrics: list[Metric]) -> Iterator[tuple[str, Any]]:
    """Fetches the weights that the metrics need: yields (name, file) of each.

    Raises ValueError if none needs any.
    """
    nets = [metric.row.net for metric in metrics if metric.row.net is not None]
    files = dict.fromkeys(file for net in nets for file in features.NETS[net].files)
    if not files:
        names = [metric.name for metric in metrics]
        raise errors.SettingError(
            "metrics", names, "need no weights: leave out prepare"
        )
    for file in files:
        yield file, weights.prepare(file)
