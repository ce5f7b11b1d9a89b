"""Random values of the transforms: TRANSFORMS.

For every image each transform draws a value, u uniform in [0, 1) or n standard normal,
and a uniform gate. At strength p a transform of multiplier m (0 off, 1 usual) takes
place if the gate is below m p. Draws do not depend on p, and recorded ones can be
replayed.

Source: Training Generative Adversarial Networks with Limited Data, App. B.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Multipliers = Mapping[str, float | tuple[float, ...]]
Values = dict[str, Float[Array, "N _values"]]


class Draws(NamedTuple):
    """All random numbers for a batch of N images."""

    values: Values  # by name of the transform
    gates: dict[str, Float[Array, "N _gates"]]
    noise: Float[Array, "N H W C"] | None  # standard normal; None if there is no noise


def _pick(count: int) -> Callable:
    return lambda u: jnp.floor(u * count)


def _up_to(bound: float) -> Callable:
    return lambda u: (2 * u - 1) * bound


def _times(std: float) -> Callable:
    return lambda n: n * std


def _octaves(std: float) -> Callable:
    return lambda n: jnp.exp2(n * std)


def _once_in_two(p: Array) -> Array:
    """Probability of each of two events such that either happens with probability p."""
    return 1 - jnp.sqrt(jnp.clip(1 - p, 0, 1))


class Transform(NamedTuple):
    """A row of TRANSFORMS; `name` is what multipliers call it."""

    name: str
    draw: Callable  # (key, shape) -> draws
    shape: tuple[int, int]  # values and gates an image
    value: Callable  # draws -> values
    identity: float  # the value that changes nothing
    probability: Callable = lambda p: p


# What a transform's `draw` is.
UNIFORM = functools.partial(jax.random.uniform, dtype=jnp.float32)
NORMAL = functools.partial(jax.random.normal, dtype=jnp.float32)

# In the order in which they act. Shifts and the hole's centre are (x, y), relative to
# the image's sides.
TRANSFORMS = {
    "xflip": Transform("xflip", UNIFORM, (1, 1), _pick(2), 0),
    "rotate90": Transform("rotate90", UNIFORM, (1, 1), _pick(4), 0),
    "xint": Transform("xint", UNIFORM, (2, 1), _up_to(0.125), 0),
    "scale": Transform("scale", NORMAL, (1, 1), _octaves(0.2), 1),
    "rotate_pre": Transform("rotate", UNIFORM, (1, 1), _up_to(np.pi), 0, _once_in_two),
    "aniso": Transform("aniso", NORMAL, (1, 1), _octaves(0.2), 1),
    "rotate_post": Transform("rotate", UNIFORM, (1, 1), _up_to(np.pi), 0, _once_in_two),
    "xfrac": Transform("xfrac", NORMAL, (2, 1), _times(0.125), 0),
    "brightness": Transform("brightness", NORMAL, (1, 1), _times(0.2), 0),
    "contrast": Transform("contrast", NORMAL, (1, 1), _octaves(0.5), 1),
    "lumaflip": Transform("lumaflip", UNIFORM, (1, 1), _pick(2), 0),
    "hue": Transform("hue", UNIFORM, (1, 1), _up_to(np.pi), 0),
    "saturation": Transform("saturation", NORMAL, (1, 1), _octaves(1.0), 1),
    "imgfilter": Transform("imgfilter", NORMAL, (4, 4), _octaves(1.0), 1),  # one a band
    "noise": Transform("noise", NORMAL, (1, 1), lambda n: jnp.abs(n) * 0.1, 0),
    # A hole far beside the image removes nothing.
    "cutout": Transform("cutout", UNIFORM, (2, 1), lambda u: u, -9),
}
NAMES = tuple(dict.fromkeys(t.name for t in TRANSFORMS.values()))


def active(multipliers: Multipliers) -> dict[str, Transform]:
    """The rows of TRANSFORMS whose multiplier is not 0."""
    on = {name for name, m in multipliers.items() if np.any(m)}
    return {row: t for row, t in TRANSFORMS.items() if t.name in on}


def sample(
    key: jax.Array, multipliers: Multipliers, shape: tuple[int, int, int, int]
) -> Draws:
    """Draws for images of `shape` [N H W C], each transform's from a key of its own."""
    values, gates, noise = {}, {}, None
    rows = list(TRANSFORMS)
    for row, t in active(multipliers).items():
        keys = jax.random.split(jax.random.fold_in(key, rows.index(row)), 3)
        values[row] = t.draw(keys[0], (shape[0], t.shape[0]))
        gates[row] = UNIFORM(keys[1], (shape[0], t.shape[1]))
        if row == "noise":
            noise = NORMAL(keys[2], shape)
    return Draws(values, gates, noise)


def decide(draws: Draws, multipliers: Multipliers, p: float | Array) -> Values:
    """Values of all active transforms at strength p; identities where none happens."""
    values = {}
    for row, t in active(multipliers).items():
        multiplier = jnp.atleast_2d(jnp.asarray(multipliers[t.name], jnp.float32))
        strength = t.probability(multiplier * p)
        happens = draws.gates[row] < strength
        values[row] = jnp.where(happens, t.value(draws.values[row]), t.identity)
    return values
