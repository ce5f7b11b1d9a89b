"""Draw how a run learns: its samples from the first to the last, and curves.

Writes progress.png, samples of the same latents at up to 8 times, and curves.png, the
losses, D's output, the speed and the metrics over kimg; also while the run is trained.
"""

from pathlib import Path

from afgan_jax.cli import flags


def main(run: flags.Run, *, outdir: flags.Outdir = Path("out")) -> None:
    from afgan_jax import image_size
    from afgan_jax.runs import history
    from afgan_jax.viz import grid, plot, progress

    found = history.of(run)
    plot.save(outdir / "curves.png", progress.curves(found.stats, found.metrics))
    if not found.pictures:
        print(f"wrote curves.png to {outdir}; there are no pictures in {run} yet")
        return
    size = image_size.size_of(found.config["data"]["resolution"])
    sheets = {
        kimg: grid.read_png(found.picture(found.pictures[kimg]))
        for kimg in progress.shown(list(found.pictures))
    }
    columns = found.config["samples"]["columns"] or grid.grid_size(size)[1]
    grid.save_figure(outdir / "progress.png", progress.strip(sheets, size, columns))
    print(f"wrote progress.png and curves.png to {outdir}")
