"""Recorded distances between sets of features."""

import functools

import numpy as np
import pytest

from afgan_jax.metrics import frechet, inception_score, kernel, precision_recall
from reference import official

CASES = official.index("metrics").get("math", {"cases": []})["cases"]


@functools.cache
def arrays() -> official.Arrays:
    return official.Arrays("metrics", "math.npz")


def of(metric):
    chosen = [c for c in CASES if c["metric"] == metric]
    ids = [f"{c['key']}-{i}" for i, c in enumerate(chosen)]
    return pytest.mark.parametrize("case", chosen, ids=ids)


def test_every_recorded_distance_is_of_a_known_kind():
    official.only([c["metric"] for c in CASES], ("fid", "kid", "pr", "is"), "metric")


def features(key):
    return (arrays()[f"{key}/{side}"] for side in ("real", "gen"))


@of("fid")
def test_frechet_distance(case):
    real, fake = (frechet.Moments.of(f) for f in features(case["key"]))
    recorded = {n: arrays()[f"{case['key']}/real_{n}"] for n in ("mean", "cov")}
    np.testing.assert_allclose(real.mean, recorded["mean"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(real.covariance, recorded["cov"], rtol=1e-9, atol=1e-13)
    found = frechet.distance(real, fake)
    # The root of a singular matrix is exact to the root of float64's precision.
    assert found == pytest.approx(case["value_symmetric_eig"], rel=1e-8)
    assert found == pytest.approx(case["value"], rel=1e-8)


@of("kid")
def test_kernel_distance(case):
    real, fake = features(case["features"])
    setting = dict(subsets=case["num_subsets"], max_subset=case["max_subset_size"])
    seed = case["numpy_legacy_seed"]
    drawn = kernel.draw_subsets(len(real), len(fake), *setting.values(), seed)
    for side, index in (("real_idx", 0), ("gen_idx", 1)):
        recorded = arrays()[f"{case['key']}/{side}"]
        np.testing.assert_array_equal([pair[index] for pair in drawn], recorded)
    found = kernel.distance(real, fake, **setting, seed=seed)
    assert found == pytest.approx(case["value_float64"], rel=1e-12)


@of("pr")
def test_precision_and_recall(case):
    real, fake = features(case["key"])
    for block in (case["row_batch_size"], 37):
        precision, recall = precision_recall.precision_recall(
            real, fake, k=case["nhood_size"], block=block
        )
        assert precision == pytest.approx(case["precision_f64_radius16"], abs=1e-12)
        assert recall == pytest.approx(case["recall_f64_radius16"], abs=1e-12)


@of("is")
def test_inception_score(case):
    probabilities = arrays()[f"{case['key']}/probs"]
    mean, std = inception_score.score(probabilities, splits=case["num_splits"])
    assert mean == pytest.approx(case["mean_f64"], rel=1e-12)
    assert std == pytest.approx(case["std_f64"], rel=1e-9)
