"""Train every row of the ladder alike and measure how exactly its images follow.

python -m afgan_jax ladder --kimg=16 --workdir=runs/ladder

Each row of configs/ablation.py is measured twice: untrained, at the 256x256 of the
paper with an eighth of the channels; and after --kimg thousand images of the Earth at
64x64 from one seed (the row's `:small`); --kimg=0 leaves the training out. Images are
made as contrasty as photographs first: where all is duller, all is also less wrong, by
as many dB.
WORKDIR/ladder.json has the results, in dB, and "contrast", that of the images as they
come, the standard deviation of pixels in [-1, 1]; ladder.png shows them beside the
paper's, and WORKDIR/a to WORKDIR/r are runs like any other. Run it again to go on where
it stopped, or with a larger --kimg to train all rows on to that. Row A has no input
that could be moved: it is trained, not measured.
--config.SECTION.KEY=VALUE changes a setting of all rows, of G in both measurements.
"""

from afgan_jax.cli import flags

ABLATION = flags.Configuration("ablation")


def main(
    workdir: flags.folder("workdir", "folder of the trainings, new or resumed"),
    *,
    kimg: flags.number("kimg", "of each training; 0: none", least=0) = 16.0,
    rows: flags.names("rows", "such as f,g,t; default: all") = (),
    samples: flags.Samples = 64,
    batch: flags.Batch = 4,
    config: flags.Config = ABLATION,
) -> None:
    if "train.total_kimg" in config.changes:
        raise ValueError("--config.train.total_kimg is --kimg here, the same for all")
    # Here, not on top: --help must not wait for JAX.
    from afgan_jax.analysis import ladder
    from afgan_jax.assembly import ladder as rungs

    rows, changes = rows or ladder.ROWS, config.changes
    options = {"kimg": kimg, "samples": samples, "batch": batch, "changes": changes}
    found = rungs.climb(config.spec, workdir, rows, **options)
    if found is None:
        print("stopped: run the same command to resume")
        return
    print(ladder.table(found))
    print(f"wrote {rungs.RECORD} and {rungs.FIGURE} to {workdir}")
