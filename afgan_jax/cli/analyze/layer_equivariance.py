"""Measure how exactly every layer follows the input, and name the one that leaks.

Writes layer-equivariance.json and .png and prints a table, in dB: the maps of each
layer when the image is shifted or turned (of which T keeps nothing), by how much a
layer falls below both the one before and its filter ("drop"), the same layer alone on
exact waves, and alone with the filters it should have. A layer that loses 6 dB to its
design leaks. Samples come in whole batches, each moved alike.
"""

from pathlib import Path

from afgan_jax.cli import flags, sources


def main(
    run: flags.Run,
    *,
    step: flags.Step = None,
    samples: flags.Samples = 16,
    batch: flags.Batch = 4,
    data: flags.Classes = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    outdir: flags.Outdir = Path("out"),
) -> None:
    from afgan_jax import analysis
    from afgan_jax.analysis import leaks
    from afgan_jax.runs import atomic
    from afgan_jax.viz import plot

    model = sources.load(run, step)
    leaks.check_plan(model)
    labels = sources.labels(model, class_, label, data)
    found = analysis.layer_equivariance(model, samples, labels=labels, batch=batch)
    report = {"samples": samples, "unit": "dB", "leak": found.leak}
    path = outdir / "layer-equivariance.json"
    atomic.write_json(path, report | {"layers": found.rows})
    plot.save(path.with_suffix(".png"), found.figure())
    print(f"{found.table()}\n{found.verdict}")
    print(f"wrote {path.name} and {path.stem}.png to {outdir}")
