"""Functions of samples, such as activations, as Mosaic GPU takes them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend import core

# Of the operations that Mosaic knows, those that kernels were compiled with.
KNOWN = {"add", "and", "broadcast_in_dim", "clamp", "convert_element_type", "copy"}
KNOWN |= {
    "div",
    "eq",
    "ge",
    "gt",
    "le",
    "lt",
    "max",
    "min",
    "mul",
    "neg",
    "select_n",
    "sub",
}


def is_known(function: Callable) -> bool:
    """Whether a kernel can apply it and its derivative."""

    def slope(x, ct):
        return jax.vjp(function, x)[1](ct)[0]

    shape = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    bare = jax.make_jaxpr(without_rules(function))(shape)
    back = jax.make_jaxpr(without_rules(slope))(shape, shape)
    used = {e.primitive.name for j in (bare, back) for e in j.jaxpr.eqns}
    return used <= KNOWN


def without_rules(function: Callable) -> Callable:
    """The function without its own rules of differentiation, which kernels lack."""

    def run(jaxpr, consts, args):
        values = dict(zip(jaxpr.constvars, consts)) | dict(zip(jaxpr.invars, args))

        def read(v):
            return v.val if isinstance(v, core.Literal) else values[v]

        for e in jaxpr.eqns:
            inner = e.params.get("call_jaxpr", e.params.get("jaxpr"))
            given = [read(v) for v in e.invars]
            if inner is not None:
                results = run(inner.jaxpr, inner.consts, given)
            else:
                results = e.primitive.bind(*given, **e.params)
                results = results if e.primitive.multiple_results else [results]
            values |= dict(zip(e.outvars, results))
        return [read(v) for v in jaxpr.outvars]

    def bare(*args):
        closed = jax.make_jaxpr(function)(*args)
        return run(closed.jaxpr, closed.consts, args)[0]

    return bare
