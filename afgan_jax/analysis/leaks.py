"""Which layer of a generator does not follow a motion of its input: `layer_motion`.

For each layer, in dB: its maps in the network when the image is shifted or rotated, by
how much they fall below both the layer before and the layer's own filter ("drop"), the
layer isolated, on exact waves, and the same with the filters of the paper. A layer that
is LEAK dB worse than with those filters leaks.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax

from afgan_jax import jax_settings
from afgan_jax.analysis import feature_maps, layer_motion, tables
from afgan_jax.analysis.layer_motion import KINDS, Layer
from afgan_jax.metrics import samples as drawing
from afgan_jax.model import Label, Model
from afgan_jax.networks import plan
from afgan_jax.signal import filters
from afgan_jax.viz import plot

COLUMNS = {
    "shift": "shift",
    "turn": "turn",
    "drop": "drop",
    "isolated_shift": "isolated:",
    "isolated_turn": "turn",
    "designed_shift": "design:",
    "designed_turn": "turn",
    "attenuation": "filter",
}


@dataclasses.dataclass(frozen=True)
class LayerEquivariance:
    """A row of dB for the input and each layer; `leak` names the layer that leaks.

    A row has the layer's name, its sampling rate and the COLUMNS, which are None if
    infinite or undefined.
    """

    rows: list[dict[str, Any]]
    leak: str | None

    @property
    def verdict(self) -> str:
        return "no layer leaks" if self.leak is None else f"{self.leak} leaks"

    def figure(self) -> plot.Figure:
        """The columns as curves over the layers, dashed for the design."""
        curves, guides = {}, {}
        for name in COLUMNS:
            is_design = name.startswith(("designed", "attenuation"))
            group = guides if is_design else curves
            group[name.replace("_", ", ")] = [row[name] for row in self.rows]
        del curves["drop"]
        names = [row["name"] for row in self.rows]
        return plot.layers(names, curves, guides, ylabel="dB", title=self.verdict)

    def table(self) -> str:
        """A line for each layer."""
        lines = [["layer", "rate", *COLUMNS.values()]]
        for row in self.rows:
            lines.append([row["name"], f"{row['rate']:g}", *(row[c] for c in COLUMNS)])
        return tables.aligned(lines, digits=1)


@jax_settings.fixed()
@jax.default_matmul_precision("highest")
def layer_equivariance(
    model: Model,
    samples: int = 16,
    *,
    labels: Label | None = None,
    batch: int = 4,
) -> LayerEquivariance:
    """The layers of a model, measured on samples in whole batches that move alike.

    labels: as in `samples.of_model`. Raises ValueError for StyleGAN2, whose layers have
    no plan, and for missing labels.
    """
    check_plan(model)
    specs = model.network.synthesis.layers
    designed = feature_maps.designed(specs)
    band = specs[0].in_band
    source = Layer("input", band.rate, specs[0].in_size, math.inf)
    layers = [_described(spec) for spec in designed]

    def measure(function, layers):
        render, constants = _drawing(model, labels, function)
        options = {"num_samples": samples, "batch_size": batch, "seed": 0}
        return layer_motion.measure(render, constants, layers, **options)

    in_network = measure(feature_maps.in_network(model.network), [source, *layers])
    isolated = measure(feature_maps.isolated(model.network, specs), layers)
    best = {kind: isolated[kind].copy() for kind in KINDS}
    other = [i for i, spec in enumerate(specs) if spec != designed[i]]
    if other:  # all others have the filters of the paper
        maps = feature_maps.isolated(model.network, [designed[i] for i in other])
        found = measure(maps, [layers[i] for i in other])
        for kind in KINDS:
            best[kind][other] = found[kind]
    rows = _rows([source, *layers], in_network, isolated, best)
    return LayerEquivariance(rows, layer_motion.leaking(isolated, best, layers))


def check_plan(model: Model) -> None:
    """Raises ValueError for StyleGAN2, whose layers have no plan."""
    if not model.network.synthesis.has_bands:
        raise ValueError(
            "this is a StyleGAN2 generator (rows A to E), whose layers have no plan:"
            " use equivariance instead"
        )


def _rows(layers: Sequence[Layer], in_network, isolated, designed) -> list[dict]:
    """`isolated` and `designed` lack the first of the layers, which is the input."""
    drops = layer_motion.drops(in_network["shift"], layers)
    rows = []
    for i, layer in enumerate(layers):
        row = {kind: in_network[kind][i] for kind in KINDS} | {"drop": drops[i]}
        for name, values in (("isolated", isolated), ("designed", designed)):
            row |= {f"{name}_{k}": values[k][i - 1] if i else None for k in KINDS}
        row["attenuation"] = layer.attenuation
        numbers = {name: _rounded(value) for name, value in row.items()}
        rows.append({"name": layer.name, "rate": layer.rate} | numbers)
    return rows


def _described(spec: plan.LayerSpec) -> Layer:
    """The layer's design; its attenuation by Kaiser's rule."""
    attenuation = math.inf
    if spec.down_filter is not None:
        attenuation = filters.kaiser_attenuation(
            spec.down_taps, spec.out_band.half_width, spec.tmp_rate
        )
    return Layer(spec.name, spec.out_band.rate, spec.out_size, attenuation)


def _drawing(model: Model, labels, function: Callable):
    """(render, variables) of `layer_motion.measure`, for maps of `feature_maps`."""
    network = drawing.of_model(model, labels)

    def render(constants, numbers, transform):
        z, _, c = network.pairs(constants, numbers)
        return function(constants["G"], z, c if model.c_dim else None, transform)

    return render, network.variables


def _rounded(value: float | None) -> float | None:
    """To a hundredth; None, as JSON has no infinity or NaN."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 2) + 0.0  # not -0.0
