"""Which layer of a generator does not follow a motion of its input: `layer_motion`.

By layer, in dB: its maps within the network when the image is shifted or turned, by how
much it falls below both the layer before and its own filter ("drop"), the layer alone
on exact waves, and alone with the filters that it should have. A layer that loses LEAK
dB to its design leaks.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from afgan_jax.analysis import feature_maps, layer_motion
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
    "alone_shift": "alone:",
    "alone_turn": "turned",
    "designed_shift": "design:",
    "designed_turn": "turned",
    "attenuation": "filter",
}


@dataclasses.dataclass(frozen=True)
class LayerEquivariance:
    """A row of dB for the input and each layer; `leak` names the layer that leaks.

    Columns are those of COLUMNS, beside the layer's name and sampling rate; None for
    what is infinite or nothing.
    """

    rows: list[dict[str, Any]]
    leak: str | None

    @property
    def verdict(self) -> str:
        return "no layer leaks" if self.leak is None else f"{self.leak} leaks"

    def figure(self) -> plot.Figure:
        """The columns as curves over the layers; what is designed is dashed."""
        curves, guides = {}, {}
        for name in COLUMNS:
            is_design = name.startswith(("designed", "attenuation"))
            group = guides if is_design else curves
            group[name.replace("_", ", ")] = [row[name] for row in self.rows]
        del curves["drop"]
        names = [row["name"] for row in self.rows]
        return plot.layers(names, curves, guides, ylabel="dB", title=self.verdict)

    def table(self) -> str:
        """A line a layer, a column a number."""
        heads = "".join(f"{head:>8}" for head in COLUMNS.values())
        lines = [f"{'layer':16}{'rate':>6}{heads}"]
        for row in self.rows:
            values = ("-" if row[c] is None else f"{row[c]:.1f}" for c in COLUMNS)
            cells = "".join(f"{value:>8}" for value in values)
            lines.append(f"{row['name']:16}{row['rate']:6g}{cells}")
        return "\n".join(lines)


@jax.default_matmul_precision("highest")
def layer_equivariance(
    model: Model,
    samples: int = 16,
    *,
    labels: Label | Float[np.ndarray, "M c_dim"] | None = None,
    batch: int = 4,
) -> LayerEquivariance:
    """The layers of a model, judged by samples in whole batches, each moved alike.

    labels: one for all samples, or rows to draw from. Raises ValueError for StyleGAN2,
    whose layers have no plan, and for a model that needs labels and is given none.
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

    inside = measure(feature_maps.within(model.network), [source, *layers])
    alone = measure(feature_maps.alone(model.network, specs), layers)
    meant = {kind: alone[kind].copy() for kind in KINDS}
    other = [i for i, spec in enumerate(specs) if spec != designed[i]]
    if other:  # the rest is what it is meant to be
        maps = feature_maps.alone(model.network, [designed[i] for i in other])
        found = measure(maps, [layers[i] for i in other])
        for kind in KINDS:
            meant[kind][other] = found[kind]
    rows = _rows([source, *layers], inside, alone, meant)
    return LayerEquivariance(rows, layer_motion.leaking(alone, meant, layers))


def check_plan(model: Model) -> None:
    """Raises ValueError for StyleGAN2, whose layers have no plan."""
    if not model.network.synthesis.has_bands:
        raise ValueError(
            "this is a StyleGAN2 generator (rows A to E): its layers have no plan to"
            " judge them by; use equivariance"
        )


def _rows(layers: Sequence[Layer], inside, alone, designed) -> list[dict]:
    """`alone` and `designed` leave out the first of the layers, which is the input."""
    drops = layer_motion.drops(inside["shift"], layers)
    rows = []
    for i, layer in enumerate(layers):
        row = {kind: inside[kind][i] for kind in KINDS} | {"drop": drops[i]}
        for name, values in (("alone", alone), ("designed", designed)):
            row |= {f"{name}_{k}": values[k][i - 1] if i else None for k in KINDS}
        row["attenuation"] = layer.attenuation
        numbers = {name: _rounded(value) for name, value in row.items()}
        rows.append({"name": layer.name, "rate": layer.rate} | numbers)
    return rows


def _described(spec: plan.LayerSpec) -> Layer:
    """The layer's facts; the attenuation is that of the Kaiser rule."""
    attenuation = math.inf
    if spec.down_filter is not None:
        attenuation = filters.kaiser_attenuation(
            spec.down_taps, spec.out_band.half_width, spec.tmp_rate
        )
    return Layer(spec.name, spec.out_band.rate, spec.out_size, attenuation)


def _drawing(model: Model, labels, function: Callable):
    """(render, constants) of `layer_motion` for a function of `feature_maps`."""
    network = drawing.of_model(model, labels)

    def render(constants, numbers, transform):
        z, _, c = network.pairs(constants, numbers)
        return function(constants["G"], z, c if model.c_dim else None, transform)

    return render, network.variables


def _rounded(value: float | None) -> float | None:
    """To a hundredth; None for what is infinite or nothing: JSON knows neither."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 2)
