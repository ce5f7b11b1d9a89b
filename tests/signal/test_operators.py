"""Operators are data: equal by value, hashable, with the implementation a part."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from afgan_jax.signal import activations, operators, resample
from afgan_jax.signal.backends import dispatch

RESAMPLING = resample.make_resampling((8, 9), None, up=2, implementation="banded")
OPERATORS = [
    RESAMPLING,
    operators.FilteredActivation(
        activations.Activation("tanh"), RESAMPLING, RESAMPLING.transposed()
    ),
    operators.Convolution((3, 3), 2, 1, (1, 1), (8, 9), (4, 5), "xla", "padded"),
]
ALL = pytest.mark.parametrize("op", OPERATORS, ids=lambda op: type(op).__name__)


@ALL
def test_operators_differ_by_implementation(op):
    same, other = (dataclasses.replace(op, implementation=i) for i in (None, "other"))
    assert len({same, dataclasses.replace(same), other}) == 2


def test_adjoints_have_the_same_implementation():
    assert RESAMPLING.transposed().implementation == "banded"
    back = OPERATORS[-1].transposed()
    assert (back.implementation, back.weight_implementation) == ("xla", "padded")
    assert back.transposed() == OPERATORS[-1]


def test_derivatives_are_computed_by_the_same_implementation(monkeypatch):
    """Also those that are traced long after the operator was made."""
    wishes = []
    choose = dispatch.choose
    monkeypatch.setattr(
        dispatch, "choose", lambda *a: wishes.append(a[-1]) or choose(*a)
    )
    with dispatch.wishes(resample="depthwise"):
        y, pull = jax.vjp(
            lambda x: resample.upfirdn(x, None, up=3), jnp.ones((1, 4, 5, 1))
        )
    pull(y)
    assert set(wishes) == {"depthwise"}
