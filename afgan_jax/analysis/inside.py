"""Numbers and figures of a generator's layers, in parts.

    found = layers(model, ["L3"])
    found.parts, found.draw("filters").numbers, found.draw("filters").figure()

staircase   the band of every layer and its sampling rates
filters     impulse and frequency responses, and their attenuation
waves       the Fourier features and their learned mix
spectrum    spectra of feature maps before, inside and after each nonlinearity
maps        feature maps, the only part of StyleGAN2
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from afgan_jax import errors, jax_settings
from afgan_jax.analysis import feature_maps, layer_report, tables
from afgan_jax.model import Label, Model
from afgan_jax.networks import layered, sizes
from afgan_jax.viz import layer_figures

MOST_SHOWN = 8  # channels, by default
FROM_WEIGHTS = {"waves", "spectrum", "maps"}  # the others need only the plan
SIDES = ("up", "down")


class Drawn(NamedTuple):
    """Numbers for JSON, and figure(): matplotlib's, or an image as bytes.

    arrays: of the part `maps`, the maps by layer.
    """

    numbers: Any
    figure: Callable[[], Any]
    arrays: dict[str, np.ndarray] | None = None


def layers(
    model: Model,
    names: Sequence[str] = (),
    *,
    channels: Sequence[int] | None = None,
    seed: int = 0,
    label: Label | None = None,
) -> "Layers":
    """The layers of a model whose names are given, or start as given (L3); none: all.

    channels: shown of maps and waves; None: the first ones. seed, label: of the image
    whose maps are shown. Raises ValueError for unknown layers.
    """
    specs = model.network.synthesis.layers
    for name in names:
        if not any(_means(name, spec) for spec in specs):
            why = f"is unknown: use some of {', '.join(spec.name for spec in specs)}"
            raise errors.SettingError("layers", name, why)
    chosen = [s for s in specs if not names or any(_means(n, s) for n in names)]
    channels = None if channels is None else tuple(channels)
    return Layers(model, tuple(chosen), channels, seed, label)


def _means(name: str, spec) -> bool:
    return spec.name == name or spec.name.startswith((f"{name}_", f"{name}/"))


@dataclasses.dataclass(frozen=True, eq=False)
class Layers:
    """Layers of a model; `draw` draws one of the `parts`."""

    model: Model
    specs: tuple
    channels: tuple[int, ...] | None = None
    seed: int = 0
    label: Label | None = None

    @property
    def parts(self) -> list[str]:
        """The parts that have something to draw."""
        return [name for name in PARTS if name not in self.nothing]

    @functools.cached_property
    def nothing(self) -> dict[str, str]:
        """{part: why} of the parts that have nothing to draw."""
        if not self.model.network.synthesis.has_bands:
            why = "a StyleGAN2 generator has no plan of bands and filters"
            return {name: why for name in PARTS if name != "maps"}
        nothing = {}
        if not self.filtering:
            nothing["filters"] = "none of the layers has a filter"
        if not self.activated:
            nothing["spectrum"] = "none of the layers has a nonlinearity"
        return nothing

    @property
    def filtering(self) -> tuple:
        return tuple(s for s in self.specs if s.up_taps > 1 or s.down_taps > 1)

    @property
    def activated(self) -> tuple:
        """All layers but the last, which is linear."""
        return tuple(spec for spec in self.specs if not spec.is_rgb)

    def check(self, parts: Sequence[str]) -> None:
        """Raises ValueError for parts that cannot be drawn."""
        for name in parts:
            if name not in PARTS:
                why = f"is unknown; use some of {','.join(PARTS)}"
                raise errors.SettingError("parts", name, why)
            if name in self.nothing:
                why = f"has nothing to draw: {self.nothing[name]}; leave it out"
                raise errors.SettingError("parts", name, why)
        counts = {}
        if "maps" in parts:
            counts |= {spec.name: spec.out_channels for spec in self.specs}
        if "waves" in parts:
            counts["input"] = self.model.network.synthesis.layers[0].in_channels
        for name, count in counts.items():
            if max(self.shown(count), default=0) >= count:
                why = (
                    f"are not all in 0 to {count - 1}, the channels of {name}: choose"
                    " other channels or layers"
                )
                raise errors.SettingError("channels", self.channels, why)

    @jax_settings.fixed()
    @jax.default_matmul_precision("highest")
    def draw(self, part: str) -> Drawn:
        """Draws a part. Raises ValueError as `check`."""
        self.check([part])
        return PARTS[part](self)

    def shown(self, count: int) -> list[int]:
        """The channels to show of `count`."""
        first = range(min(count, MOST_SHOWN))
        return list(first if self.channels is None else self.channels)

    def latent(self):
        """(z [1 z_dim], c [1 c_dim] or None)."""
        c = self.model.c(self.label, 1)
        return jax.device_put((self.model.z([self.seed]), c))


def staircase(shown: Layers) -> Drawn:
    rows = layered.rows(shown.specs)
    return Drawn(rows, lambda: layer_figures.staircase(rows))


def filters(shown: Layers) -> Drawn:
    rows = layer_report.filter_bank(shown.filtering)
    return Drawn(rows, lambda: layer_figures.filter_bank(rows))


def waves(shown: Layers) -> Drawn:
    G, variables = shown.model.network, shown.model.variables
    found = layer_report.waves(G, variables)
    channels = shown.shown(len(found["use"]))
    mix = jax.jit(lambda *a: feature_maps.in_network(G)(*a, None)[0])
    mixed = np.moveaxis(jax.device_get(mix(variables, *shown.latent())[0]), -1, 0)
    plain = np.moveaxis(feature_maps.plain_waves(G, variables), -1, 0)
    arrays = plain[channels], mixed[channels], channels
    return Drawn(found, lambda: layer_figures.waves(found, *arrays))


def spectrum(shown: Layers) -> Drawn:
    specs = shown.activated
    found = jax.jit(layer_report.powers(shown.model.network, specs))
    powers = jax.device_get(found(shown.model.variables, *shown.latent()))
    rows = layer_report.spectra(specs, powers)
    return Drawn(rows, lambda: layer_figures.spectra(rows))


def maps(shown: Layers) -> Drawn:
    chosen = {s.name: shown.shown(s.out_channels) for s in shown.specs}

    @jax.jit
    def find(variables, z, c):
        found = feature_maps.by_name(shown.model.network)(variables, z, c)
        return {k: found[k][0][..., np.array(v)] for k, v in chosen.items()}

    found = jax.device_get(find(shown.model.variables, *shown.latent()))
    size = shown.model.size
    rows = [
        layer_report.feature_map(
            s.name, s.rate, sizes.canvas(size, s.rate), found[s.name], chosen[s.name]
        )
        for s in shown.specs
    ]
    return Drawn(rows, lambda: layer_figures.feature_maps(rows, found), found)


# name: function of Layers that draws it
PARTS = {part.__name__: part for part in (staircase, filters, waves, spectrum, maps)}


def filter_table(rows: Sequence[dict]) -> str:
    """Lines of dB by layer and filter: as designed, and from the stopband on."""
    lines = [["layer", *(cell for s in SIDES for cell in (s, "design", "found"))]]
    for row in rows:
        line = [row["name"]]
        for found in (row[side] for side in SIDES):
            keys = ("designed", "attenuation")
            values = (found[k] for k in keys) if found else (None, None)
            line += [f"{len(found['taps'])} taps" if found else None, *values]
        lines.append(line)
    return tables.aligned(lines, digits=1)
