"""Draws: how often transforms happen, and which values they take."""

import jax
import numpy as np
import pytest
from scipy import stats

from afgan_jax.augment import draws

ALL = dict.fromkeys(draws.NAMES, 1.0)
COUNT = 4096
SHAPE = (COUNT, 1, 1, 1)


def values(p, multipliers=ALL, seed=0):
    drawn = draws.sample(jax.random.key(seed), multipliers, SHAPE)
    return {k: np.asarray(v) for k, v in draws.decide(drawn, multipliers, p).items()}


def test_nothing_happens_at_strength_0_and_everything_at_1():
    nothing, everything = values(0.0), values(1.0)
    for name, t in draws.TRANSFORMS.items():
        assert (nothing[name] == t.identity).all(), name
        counts = {"xflip": 2, "lumaflip": 2, "rotate90": 4}  # one of them the identity
        changed = (everything[name] != t.identity).any(axis=1).mean()
        assert changed == pytest.approx(1 - 1 / counts.get(name, np.inf), abs=0.03)


def test_a_transform_happens_with_probability_m_p():
    found = values(0.5, ALL | {"scale": 0.5, "hue": 3.0})
    for name, p in {"scale": 0.25, "hue": 1.0, "aniso": 0.5, "cutout": 0.5}.items():
        share = (found[name] != draws.TRANSFORMS[name].identity)[:, 0].mean()
        assert share == pytest.approx(p, abs=0.03), name  # 4 standard deviations


def test_one_of_two_rotations_happens_with_probability_p():
    found = values(0.6)
    turned = (found["rotate_pre"] != 0) | (found["rotate_post"] != 0)
    assert turned.mean() == pytest.approx(0.6, abs=0.03)
    # The strength may pass 1, after which p changes nothing.
    assert (values(7.0)["rotate_pre"] != 0).all()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("scale", lambda v: stats.kstest(np.log2(v) / 0.2, "norm")),
        ("aniso", lambda v: stats.kstest(np.log2(v) / 0.2, "norm")),
        ("xfrac", lambda v: stats.kstest(v / 0.125, "norm")),
        ("brightness", lambda v: stats.kstest(v / 0.2, "norm")),
        ("contrast", lambda v: stats.kstest(np.log2(v) / 0.5, "norm")),
        ("saturation", lambda v: stats.kstest(np.log2(v), "norm")),
        ("imgfilter", lambda v: stats.kstest(np.log2(v), "norm")),
        ("noise", lambda v: stats.kstest(v / 0.1, "halfnorm")),
        ("rotate_pre", lambda v: stats.kstest(v / np.pi, "uniform", (-1, 2))),
        ("hue", lambda v: stats.kstest(v / np.pi, "uniform", (-1, 2))),
        ("xint", lambda v: stats.kstest(v / 0.125, "uniform", (-1, 2))),
        ("cutout", lambda v: stats.kstest(v, "uniform")),
    ],
)
def test_values_are_distributed_as_published(name, expected):
    assert expected(values(1.0)[name].ravel()).pvalue > 1e-3


def test_draws_depend_on_no_other_transform():
    alone = draws.sample(jax.random.key(3), {"scale": 1.0}, SHAPE)
    among = draws.sample(jax.random.key(3), ALL, SHAPE)
    assert set(alone.values) == {"scale"} and alone.noise is None
    np.testing.assert_array_equal(alone.values["scale"], among.values["scale"])
    np.testing.assert_array_equal(alone.gates["scale"], among.gates["scale"])


def test_no_two_draws_are_correlated():
    drawn = draws.sample(jax.random.key(5), ALL, SHAPE)
    columns = np.concatenate([*drawn.values.values(), *drawn.gates.values()], axis=1)
    correlation = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() < 6 / np.sqrt(COUNT)


def test_bands_have_gates_and_multipliers_of_their_own():
    one = values(1.0, ALL | {"imgfilter": (0, 1, 0, 0)})["imgfilter"]
    assert (one[:, [0, 2, 3]] == 1).all() and (one[:, 1] != 1).all()
    some = values(0.5)["imgfilter"] != 1
    assert some.mean() == pytest.approx(0.5, abs=0.03)
    assert 0 < some.all(axis=1).mean() < 0.2
