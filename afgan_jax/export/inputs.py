"""What an exported generator takes: z, label, psi and transform, as far as it has them.

One description for every form; `reader` says what they mean.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Float

from afgan_jax.networks.generator import Generator

OUTPUT = "images"


def shapes(G: Generator, batch: Any) -> dict[str, tuple]:
    """{name of an input: its shape}, in the order in which they are passed.

    batch: a number, or what stands for any: a name, or a symbol of jax.export.
    """
    found = {"z": (batch, G.mapping.z_dim), "label": (batch, G.mapping.c_dim)}
    if not G.mapping.c_dim:
        del found["label"]
    found["psi"] = ()
    if G.synthesis.can_move:
        found["transform"] = (batch, 3, 3)
    return found


def draw(
    G: Generator, variables: dict, values: Mapping[str, Array]
) -> Float[Array, "N H W C"]:
    """The images of such inputs by name."""
    rest = {name: values[name] for name in ("psi", "transform") if name in values}
    return G.apply(variables, values["z"], values.get("label"), **rest)
