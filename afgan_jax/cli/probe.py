"""Measure how exactly every layer of a trained generator follows its input.

python -m afgan_jax probe --run=runs/earth --outdir=out

Writes probe.json and probe.png and prints a table, in dB: the maps of each layer when
the picture is shifted or turned (of which T keeps nothing), by how much a layer falls
below both the one before and its filter ("drop"), the same layer alone on exact waves,
and alone with the filters it should have. A layer that loses 6 dB to its design is
named as the one that leaks.

--filters only looks at the filters (of a run or, untrained, of --config=FILE.py): the
picture `filters` of the verb explain, and a table of their attenuation.
"""

import json
import math
from pathlib import Path

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import explain, labels

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "run directory of the training", flag_values=FLAGS)
flags.DEFINE_integer("step", None, "checkpoint; default: newest", flag_values=FLAGS)
flags.DEFINE_integer(
    "samples", 16, "latents, in whole batches", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_integer(
    "batch", 4, "latents at a time, moved alike", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_string(
    "data", None, "set of the classes; default: the run's", flag_values=FLAGS
)
labels.define(FLAGS)
flags.DEFINE_bool("filters", False, "look at filters only", flag_values=FLAGS)
flags.DEFINE_string("config", None, "--filters: of this config", flag_values=FLAGS)
flags.DEFINE_string("outdir", "out", "where the files go", flag_values=FLAGS)

COLUMNS = ("shift", "turn", "drop", "alone_shift", "alone_turn")
COLUMNS += ("designed_shift", "designed_turn", "attenuation")


def main(argv: list[str]) -> None:
    overrides = cli.parse(FLAGS, argv)
    cli.check_writable("outdir", FLAGS.outdir)
    if FLAGS.filters:
        explain.filters_of(FLAGS, overrides, Path(FLAGS.outdir))
        return
    if FLAGS.config is not None:
        raise ValueError("--config is for --filters: a probe measures a --run")
    cli.require(FLAGS, "run")

    # Here, not on top: --help must not wait for JAX.
    import jax

    from afgan_jax.runs import atomic, run_directory, saved_networks

    # Accelerators round the factors of products otherwise, and would be measured too.
    jax.config.update("jax_default_matmul_precision", "highest")
    G, variables, _ = saved_networks.load_generator(
        FLAGS.run, FLAGS.step, dtype="float32", remat="none"
    )
    if not G.synthesis.has_bands:
        raise ValueError(
            "this is a StyleGAN2 generator (rows A to E): its layers have no plan to"
            " judge them by; use equivariance"
        )
    run, c_dim = run_directory.Run.open(FLAGS.run), G.mapping.c_dim
    classes = labels.choose(FLAGS, run, c_dim, FLAGS.data)
    rows, leak = probe(G, variables, classes, FLAGS.samples, FLAGS.batch)
    outdir = Path(FLAGS.outdir)
    outdir.mkdir(parents=True, exist_ok=True)
    report = {"samples": FLAGS.samples, "unit": "dB", "leak": leak, "layers": rows}
    atomic.write(outdir / "probe.json", json.dumps(report, indent=2) + "\n")
    draw(outdir / "probe.png", rows, leak)
    print(table(rows))
    print(verdict(leak))
    print(f"wrote probe.json and probe.png to {outdir}")


def probe(
    G, variables, classes, samples: int, batch: int
) -> tuple[list[dict], str | None]:
    """(a row of dB for the input and each layer, name of the leaking one or None).

    `classes` [M c_dim] are labels to draw from.
    """
    from afgan_jax.analysis import feature_maps, layer_equivariance

    specs = G.synthesis.layers
    meant = feature_maps.designed(specs)
    first, layers = specs[0], describe(meant)
    source = layer_equivariance.Layer(
        "input", first.in_band.rate, first.in_size, math.inf
    )

    def measure(function, layers):
        render, constants = drawing(G, variables, classes, function)
        options = {"num_samples": samples, "batch_size": batch, "seed": 0}
        return layer_equivariance.measure(render, constants, layers, **options)

    inside = measure(feature_maps.within(G), [source, *layers])
    alone = measure(feature_maps.alone(G, specs), layers)
    designed = {kind: alone[kind].copy() for kind in layer_equivariance.KINDS}
    other = [i for i, spec in enumerate(specs) if spec != meant[i]]
    if other:  # the rest is what it is meant to be
        found = measure(
            feature_maps.alone(G, [meant[i] for i in other]), [layers[i] for i in other]
        )
        for kind in layer_equivariance.KINDS:
            designed[kind][other] = found[kind]
    drops = layer_equivariance.drops(inside["shift"], [source, *layers])
    rows = []
    for i, layer in enumerate([source, *layers]):
        row = {kind: inside[kind][i] for kind in layer_equivariance.KINDS} | {
            "drop": drops[i]
        }
        for name, values in (("alone", alone), ("designed", designed)):
            row |= {
                f"{name}_{k}": values[k][i - 1] if i else None
                for k in layer_equivariance.KINDS
            }
        row["attenuation"] = layer.attenuation
        numbers = {name: rounded(value) for name, value in row.items()}
        rows.append({"name": layer.name, "rate": layer.rate} | numbers)
    return rows, layer_equivariance.leaking(alone, designed, layers)


def describe(specs) -> list:
    """Facts of the layers; the attenuation is that of the Kaiser rule."""
    from afgan_jax.analysis import layer_equivariance
    from afgan_jax.signal import filters

    found = []
    for spec in specs:
        attenuation = math.inf
        if spec.down_filter is not None:
            attenuation = filters.kaiser_attenuation(
                spec.down_taps, spec.out_band.half_width, spec.tmp_rate
            )
        found.append(
            layer_equivariance.Layer(
                spec.name, spec.out_band.rate, spec.out_size, attenuation
            )
        )
    return found


def drawing(G, variables, classes, function):
    """(render, constants) of `metrics.probe` for a function of `networks.maps`."""
    import jax

    from afgan_jax.metrics import samples

    network = samples.of_generator(G, variables, classes, jax.random.key(0))

    def render(constants, numbers, transform):
        z, _, c = network.pairs(constants, numbers)
        c = c if G.mapping.c_dim else None
        return function(constants["G"], z, c, transform)

    return render, network.variables


def rounded(value: float | None) -> float | None:
    """To a hundredth; None for what is infinite or nothing: JSON knows neither."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 2)


def draw(path: Path, rows: list[dict], leak: str | None) -> None:
    """The columns as curves over the layers; what is designed is dashed."""
    from afgan_jax.viz import plot

    curves = {c.replace("_", ", "): [row[c] for row in rows] for c in COLUMNS}
    del curves["drop"]
    guides = {c: curves.pop(c) for c in list(curves) if c.startswith(("des", "att"))}
    plot.layers(
        path,
        [row["name"] for row in rows],
        curves,
        guides,
        ylabel="dB",
        title=verdict(leak),
    )


def verdict(leak: str | None) -> str:
    return "no layer leaks" if leak is None else f"{leak} leaks"


def table(rows: list[dict]) -> str:
    """A line a layer, a column a number."""
    heads = ("shift", "turn", "drop", "alone:", "turned", "design:", "turned", "filter")
    lines = [f"{'layer':16}{'rate':>6}" + "".join(f"{head:>8}" for head in heads)]
    for row in rows:
        values = ("-" if row[c] is None else f"{row[c]:.1f}" for c in COLUMNS)
        cells = "".join(f"{value:>8}" for value in values)
        lines.append(f"{row['name']:16}{row['rate']:6g}{cells}")
    return "\n".join(lines)
