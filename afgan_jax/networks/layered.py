"""Synthesis networks of layers, and their layers as rows of numbers and as text."""

import operator
from collections.abc import Sequence

import flax.linen as nn

from afgan_jax import image_size
from afgan_jax.networks import protocol


class Layered(nn.Module):
    """What all kinds of protocol.SynthesisNetwork do alike."""

    layers: tuple[protocol.Layer, ...]

    @property
    def training_options(self) -> dict[str, str]:
        return {"noise": "random"} if any(spec.noise for spec in self.layers) else {}

    @property
    def resolution(self) -> image_size.Resolution:
        return image_size.resolution_of(self.size)

    @property
    def unit(self) -> int:
        """Pixels in the shorter side, the unit of lengths."""
        return min(self.size)

    @property
    def img_channels(self) -> int:
        return self.layers[-1].out_channels

    def rows(self) -> list[dict]:
        return rows(self.layers)

    def describe(self) -> str:
        return describe(self.layers)


def rows(specs: Sequence[protocol.Layer]) -> list[dict]:
    """The `columns` of the layers as numbers, names and lists, for JSON."""
    return [
        {k: _plain(operator.attrgetter(path)(spec)) for k, path in spec.columns.items()}
        for spec in specs
    ]


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def describe(specs: Sequence[protocol.Layer]) -> str:
    """A heading, then a line for each layer, with marks of what is unusual."""
    lines = [specs[0].heading]
    for row in rows(specs):
        told = image_size.told(tuple(row["size"]))
        marks = [name for name in ("critical", "radial", "noise") if row.get(name)]
        usual = {"dtype": "float32", "symmetry": "none"}
        marks += [row[k] for k, v in usual.items() if row.get(k, v) != v]
        lines.append("  ".join([specs[0].line.format(**row, told=told), *marks]))
    return "\n".join(lines)
