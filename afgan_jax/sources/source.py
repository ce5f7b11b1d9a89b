"""Networks with weights, and the settings that say what they are, before reading."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from afgan_jax import jax_settings
from afgan_jax.networks import discriminator, generator, mapping
from afgan_jax.runs import config as config_lib

# The sections of settings that networks are made from.
SCHEMA = {
    "generator": {
        "mapping": (mapping.make_mapping, "num_ws"),
        "synthesis": config_lib.Kinds(generator.SYNTHESES, generator.DEFAULT_KIND),
    },
    "discriminator": discriminator.make_discriminator,
}
# Each part of a training: the section of its settings, and what makes it.
PARTS = {
    "G": ("generator", generator.make_generator),
    "D": ("discriminator", discriminator.make_discriminator),
    "G_ema": ("generator", generator.make_generator),
}


class Weights(NamedTuple):
    """What was read: {part: variables}, from where (with the step), and facts of it.

    facts, as far as they are known: "step", "kimg", "training" (settings of a run
    besides SCHEMA), "licence", "origin".
    """

    tree: dict[str, Any]
    name: str
    facts: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Source:
    """Networks with weights.

    name: as a person writes it; settings: those of SCHEMA for the parts it has, all of
    them; parts: of PARTS; read(abstract) returns the Weights of some parts, each leaf
    placed as its jax.ShapeDtypeStruct says; empty_classes: those without an image.
    """

    name: str
    settings: Mapping[str, Any]
    parts: tuple[str, ...]
    read: Callable[[dict], Weights]
    class_names: tuple[str, ...] | None = None
    empty_classes: frozenset[int] = frozenset()

    def network(self, part: str, **changes: Any):
        """The Flax module of one part; `changes` are of settings without effect on it.

        Raises ValueError if it has no such part.
        """
        if part not in self.parts:
            held = ", ".join(self.parts)
            raise ValueError(f"{self.name} holds {held}: there is no {part} in it")
        section, make = PARTS[part]
        settings = self.settings[section]
        if changes:
            settings = generator.changed(settings, **changes)
        return make(**settings)

    def shapes(self, part: str) -> dict:
        """The variables of one part as a tree of jax.ShapeDtypeStruct."""
        return jax.eval_shape(self.network(part).initialize, jax_settings.key(0))

    def load(self, *parts: str) -> Weights:
        """The weights of these parts on the first device."""
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shapes = {part: self.shapes(part) for part in parts}
        return self.read(
            jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
                shapes,
            )
        )


def complete(
    settings: Mapping[str, Any], parts: Iterable[str], where: str
) -> dict[str, Any]:
    """The sections that these parts are made from, with defaults filled in.

    Raises ValueError if they are those of another version of this program.
    """
    sections = {PARTS[part][0] for part in parts}
    schema = {name: SCHEMA[name] for name in SCHEMA if name in sections}
    stated = {name: settings.get(name, {}) for name in schema}
    return config_lib.check_saved(stated, schema, where)


def placed(tree: dict, abstract: dict, where: object) -> dict:
    """The arrays as `abstract` says; ValueError, naming the file, for other shapes."""
    shapes = jax.tree.map(np.shape, tree), jax.tree.map(lambda x: x.shape, abstract)
    if shapes[0] != shapes[1]:
        raise ValueError(f"{where} has other tensors than its settings say")
    typed = jax.tree.map(lambda x, a: np.asarray(x, a.dtype), tree, abstract)
    return jax.device_put(typed, jax.tree.map(lambda a: a.sharding, abstract))
