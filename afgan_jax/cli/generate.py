"""Write images of a trained generator: seedNNNN.png each, and all of them in grid.png.

In grid.png small images are enlarged.

python -m afgan_jax generate --run=runs/earth --seeds=0-15 --psi=0.7 --outdir=out

Nothing in a snapshot of the published program is run. A generator trained on labels
needs one: --class=3 or --class=NAME, or all its numbers, as --label=0,1,1 for several
classes at once or --label=0.5,-2 for any vector.

A seed means the same latent everywhere: numpy's RandomState(seed).randn(1, z_dim).
"""

import math
from pathlib import Path

from afgan_jax.cli import flags


def main(
    run: flags.Run,
    *,
    step: flags.Step = None,
    seeds: flags.Seeds = tuple(range(16)),
    psi: flags.Psi = 1.0,
    class_: flags.Class = None,
    label: flags.Label = None,
    rotate: flags.Rotate = 0.0,
    translate: flags.Translate = (0.0, 0.0),
    outdir: flags.Outdir = Path("out"),
    squares: flags.Squares = False,
    batch: flags.Batch = 8,
) -> None:
    # Here, not on top: --help must not wait for JAX.
    from afgan_jax.cli import sources
    from afgan_jax.viz import grid

    model = sources.load(run, step)
    ws = model.ws(seeds, label=sources.label(model, class_, label), psi=psi)
    motion = {"rotate": math.radians(rotate), "translate": translate}
    images = model.images(ws=ws, batch=batch, **motion)
    outdir.mkdir(parents=True, exist_ok=True)
    for seed, image in zip(seeds, images, strict=True):
        grid.save_png(outdir / f"seed{seed:04d}.png", image)
    columns = math.ceil(math.sqrt(len(images)))
    shown = grid.sheet(images, columns, squares=squares)
    grid.save_png(outdir / "grid.png", shown)
    print(f"wrote {len(images)} images and grid.png to {outdir}")
