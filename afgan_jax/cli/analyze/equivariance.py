"""Measure how exactly images follow the input, in dB, and show it.

Writes equivariance.json (dB), equivariance.png (one w turned and shifted by parts of a
pixel) and motion.gif (turning and drifting), each beside the same network with its
low-pass filters off: pixels repeated on the way up, dropped on the way down, as in an
ordinary GAN.
Classes are those of --class or --label, or else drawn as the run's set has them.
"""

from pathlib import Path

from afgan_jax.cli import flags, sources


def main(
    run: flags.Run,
    *,
    step: flags.Step = None,
    samples: flags.Samples = 1000,
    batch: flags.Batch = 4,
    seed: flags.count(
        "seed", "shown; default: that of most contrast of 0-31", 0
    ) = None,
    psi: flags.Psi = 0.7,
    frames: flags.count("frames", "of the animation") = 48,
    data: flags.Classes = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    squares: flags.Squares = False,
    outdir: flags.Outdir = Path("out"),
) -> None:
    from afgan_jax import analysis
    from afgan_jax.analysis import image_equivariance as showing
    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid, video

    model = sources.load(run, step)
    models = showing.with_and_without_filters(model)
    labels = sources.labels(model, class_, label, data)
    seeds = range(32) if seed is None else [seed]
    ws = showing.choose_ws(model, labels, seeds=seeds, psi=psi)
    decibels = {
        name: analysis.equivariance(each, samples, labels=labels, batch=batch).decibels
        for name, each in models.items()
    }
    report = {"samples": samples, "unit": "dB"} | decibels
    atomic.write_json(outdir / "equivariance.json", report)
    shown = showing.strip(models, ws, squares=squares)
    grid.save_figure(outdir / "equivariance.png", shown)
    film = showing.film(models, ws, frames, squares=squares)
    video.save(outdir / "motion.gif", iter(film), len(film), 12.5)
    print(showing.table(decibels))
    print(f"wrote equivariance.png, equivariance.json and motion.gif to {outdir}")
