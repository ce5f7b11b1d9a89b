"""Find directions in w along which images change, without labels.

python -m afgan_jax directions --run=runs/earth --method=pca --layers=L0-L4
python -m afgan_jax generate --run=runs/earth --directions=out/directions.npz \\
  --push=pca0=2

sefa takes what the layers make of w, pca how w varies. Writes directions.npz and
directions.png: a row for each direction, one seed pushed by -amount to amount standard
deviations. generate and video push along them, by number or name.
"""

from pathlib import Path

from afgan_jax.cli import flags


def main(
    run: flags.Run,
    *,
    step: flags.Step = None,
    method: flags.choice("method", "how", "sefa", "pca") = "sefa",
    count: flags.count("count", "how many") = 8,
    layers: flags.Layers = None,
    names: flags.names("names", "call them so, in order") = (),
    seed: flags.count("seed", "shown", 0) = 0,
    amount: flags.number("amount", "standard deviations to each side", 0) = 3.0,
    steps: flags.count("steps", "images in a row") = 7,
    psi: flags.Psi = 0.7,
    class_: flags.Class = None,
    label: flags.Label = None,
    squares: flags.Squares = False,
    batch: flags.Batch = 8,
    outdir: flags.Outdir = Path("out"),
) -> None:
    import jax

    from afgan_jax.cli import sources
    from afgan_jax.edit import directions
    from afgan_jax.edit import rows as ws_rows
    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid

    model = sources.load(run, step)
    chosen = sources.label(model, class_, label)
    rows = ws_rows.chosen(model, layers) if layers else None
    found = directions.find(
        model, method, count=count, rows=rows, names=names, label=chosen
    )
    ws = jax.device_get(model.ws([seed], label=chosen, psi=psi))
    strip = directions.strip(
        model, found, ws, amount=amount, steps=steps, batch=batch, squares=squares
    )
    outdir.mkdir(parents=True, exist_ok=True)
    atomic.write_arrays(outdir / "directions.npz", found.arrays)
    grid.save_figure(outdir / "directions.png", strip)
    for name, share in zip(found.names, found.strengths):
        print(f"{name}: {share:.1%}")
    print(f"wrote directions.npz and directions.png to {outdir}")
