"""The arithmetic that a function needs, counted in its traced program.

Counts the multiplications and additions of matrix products, convolutions and
resamplings, 2 for a multiply-add, but not pointwise operations, multiplications by the
zeros of an upsampled signal, or operations that no result depends on.
"""

import math

import jax
from jax.extend import core
from jax.interpreters import partial_eval

from afgan_jax.signal.backends import dispatch


def needed_flops(function, *arguments) -> float:
    """Floating-point operations of one call.

    Counted in plain implementations, or for a jitted function in its own.
    """
    if not hasattr(function, "trace"):
        function = jax.jit(dispatch.wishes(**dispatch.NAIVE)(function))
    traced = function.trace(*arguments).jaxpr.jaxpr
    used, _ = partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))
    return _count(used)


def _count(jaxpr) -> float:
    return sum(map(_count_equation, jaxpr.eqns))


def _count_equation(equation) -> float:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        lhs = equation.invars[0].aval.shape
        products = math.prod(lhs[i] for i in contracted)
        return 2.0 * equation.outvars[0].aval.size * products
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        features = kernel.shape[parameters["dimension_numbers"].rhs_spec[0]]
        zeros = math.prod(parameters["lhs_dilation"])
        return 2.0 * equation.outvars[0].aval.size * kernel.size / features / zeros
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in parameters["branches"])
    times = parameters["length"] if name == "scan" else 1
    return times * sum(map(_count, _inner(parameters)))


def _inner(parameters: dict):
    """The programs in an equation: bodies of loops, calls, derivative rules."""
    for value in parameters.values():
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value
