"""Write images of a trained generator: seedNNNN.png each, and all of them in grid.png.

python -m afgan_jax generate --run=runs/earth --seeds=0-15 --psi=0.7 --outdir=out
python -m afgan_jax generate --run=runs/earth --ws=out/mix.npz --tiles=2x3

In grid.png small images are enlarged; ws.npz has their ws, for --ws of this and other
verbs. Nothing in a snapshot of the published program is run. A generator trained on
labels needs one: --class=3 or --class=NAME, or all its numbers, as --label=0,1,1 for
several classes at once or --label=0.5,-2 for any vector.

A seed means the same latent everywhere: numpy's RandomState(seed).randn(1, z_dim).
"""

import math
from pathlib import Path

from afgan_jax.cli import flags


def main(
    run: flags.Run,
    *,
    step: flags.Step = None,
    seeds: flags.OptionalSeeds = None,
    ws: flags.Ws = None,
    psi: flags.Psi = 1.0,
    class_: flags.Class = None,
    label: flags.Label = None,
    rotate: flags.Rotate = 0.0,
    translate: flags.Translate = (0.0, 0.0),
    zoom: flags.Zoom = 1.0,
    tiles: flags.Tiles = (1, 1),
    directions: flags.DirectionsFile = None,
    push: flags.Push = None,
    outdir: flags.Outdir = Path("out"),
    squares: flags.Squares = False,
    batch: flags.Batch = 8,
) -> None:
    # Here, not on top: --help must not wait for JAX.
    import jax

    from afgan_jax.cli import sources
    from afgan_jax.edit import mosaic, w_files
    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid

    model = sources.load(run, step)
    own = outdir / "ws.npz"
    if ws is None:
        seeds = range(16) if seeds is None else seeds
        chosen = sources.label(model, class_, label)
        drawn = jax.device_get(model.ws(seeds, label=chosen, psi=psi))
        names = [f"seed{seed:04d}.png" for seed in seeds]
    else:
        flags.check_alone("ws", seeds=seeds, class_=class_, label=label, psi=psi != 1)
        if push and own.exists() and own.samefile(flags.expanded(ws)):
            raise ValueError(f"--ws={ws} would be replaced: name another --outdir")
        drawn = w_files.read(flags.expanded(ws), model)
        names = [f"w{i:04d}.png" for i in range(len(drawn))]
    if push:
        found, amounts = sources.pushes(model, directions, push)
        drawn = found.pushed(drawn, amounts)
    motion = {"rotate": math.radians(rotate), "translate": translate, "zoom": zoom}
    images = mosaic.images(model, drawn, tiles, batch=batch, **motion)
    outdir.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=True):
        grid.save_png(outdir / name, image)
    columns = math.ceil(math.sqrt(len(images)))
    shown = grid.sheet(images, columns, squares=squares)
    grid.save_png(outdir / "grid.png", shown)
    atomic.write_arrays(own, {"w": drawn})
    print(f"wrote {len(images)} images, grid.png and ws.npz to {outdir}")
