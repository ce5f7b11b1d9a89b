"""Measure whether texture sticks to pixels while the input moves, and show it.

sticking.png: one row of pixels, each line a moment later, while the input moves to the
right, above the same of the network with its low-pass filters switched off. Detail that
sticks to pixels shows as streaks down the figure, detail that follows as slanted hair.
With --drift, also while w drifts. sticking.json: of the power of detail along rows, the
share that stays at its pixels and the share that follows the input when it moves by
whole pixels, and the score stays / (stays + follows), 0 for alias-free and 1 for stuck.
"""

from pathlib import Path

from afgan_jax.cli import flags, sources


def main(
    run: flags.Run,
    *,
    step: flags.Step = None,
    samples: flags.Samples = 16,
    batch: flags.Batch = 4,
    reach: flags.count(
        "reach", "pixels moved either way; default: 1/8 of the shorter side, 16 at most"
    ) = None,
    image: flags.count("image", "which of the samples is shown", 0) = 0,
    row: flags.count("row", "of pixels shown; default: that of most detail", 0) = None,
    frames: flags.count("frames", "lines of the figure", 2) = 64,
    pace: flags.number("pace", "pixels moved a line") = 0.25,
    drift: flags.number("drift", "show w going so far to another one's, too") = 0.0,
    data: flags.Classes = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    outdir: flags.Outdir = Path("out"),
) -> None:
    from afgan_jax import analysis
    from afgan_jax.analysis import image_equivariance
    from afgan_jax.analysis import sticking as showing
    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid

    model = sources.load(run, step)
    models = image_equivariance.with_and_without_filters(model)
    labels = sources.labels(model, class_, label, data)
    reach = showing.usual_reach(model) if reach is None else reach
    films, report = {}, {"samples": samples, "reach": reach}
    for name, each in models.items():
        found = analysis.texture_sticking(
            each, samples, labels=labels, batch=batch, reach=reach
        )
        options = {"image": image, "frames": frames, "pace": pace, "drift": drift}
        film = showing.film(each, labels=labels, row=row, batch=batch, **options)
        row = film.row
        films[f"{name}, score {found.score:z.3f}"] = film
        report[name] = {"score": found.score} | found._asdict()
    atomic.write_json(outdir / "sticking.json", report)
    grid.save_figure(outdir / "sticking.png", showing.strip(films))
    for name in models:
        print(name, *(f"{key} {value:z.4f}" for key, value in report[name].items()))
    print(f"wrote sticking.png and sticking.json to {outdir}")
