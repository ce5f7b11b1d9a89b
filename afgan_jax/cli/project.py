"""Find the ws of images, and how each is turned and moved.

python -m afgan_jax project face.png --run=runs/mine --outdir=out
python -m afgan_jax project photos --run=runs/mine --space=w --steps=500

An image, or a folder of them, each cut to the largest centred part of the model's
proportions. Writes NAME.npz (w, for --ws of other verbs; rotate in radians, translate),
NAME.found.png, and projection.png: the images, and below what was found. Prints the
flags by which others draw it. What is there is not searched again. Distances are those
of pixels at several scales, and of LPIPS too if the weights of its networks are there.
--tune also tunes a copy of the generator to each image (PTI) and writes it as
NAME.safetensors.
"""

import functools
import sys
from pathlib import Path

from afgan_jax.cli import flags


def main(
    images: flags.positional("IMAGES", Path),
    /,
    run: flags.Run,
    *,
    step: flags.Step = None,
    space: flags.text("space", "w: one for all layers; w+: one each", "w|w+") = "w+",
    steps: flags.count("steps", "of the last descent") = 300,
    move: flags.switch("find how the image is turned and moved") = True,
    tune: flags.count("tune", "steps of tuning a copy of the generator") = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    weights: flags.Weights = (),
    squares: flags.Squares = False,
    batch: flags.Batch = 4,
    outdir: flags.Outdir = Path("out"),
) -> None:
    import tqdm

    from afgan_jax.assembly import projecting
    from afgan_jax.cli import sources
    from afgan_jax.data import single
    from afgan_jax.viz import grid

    model = sources.load(run, step)
    embed = projecting.lpips(weights)
    if embed is None:
        print("distances of pixels alone: LPIPS has no weights here (--weights)")
    projecting_to = projecting.Projecting(
        model,
        outdir,
        space=space,
        steps=steps,
        move=move and model.can_move,
        label=sources.label(model, class_, label),
        tune=tune,
        embed=embed,
        batch=batch,
    )
    paths = single.names(flags.expanded(images))
    pairs, bad = [], []
    for path, name in projecting.names(paths, outdir).items():
        with tqdm.tqdm(unit="step", disable=None, leave=False) as bar:
            told = functools.partial(_show, bar, name)
            try:
                found = projecting_to.project(path, name, told)
            except ValueError as error:
                if len(paths) == 1:
                    raise
                bad.append(path)
                print(f"WARNING: left out: {error}", file=sys.stderr)
                continue
        pairs = [*pairs, found.pair][: projecting.MOST]
        print(found, flush=True)
    if pairs:
        shown = projecting.strip(pairs, squares=squares)
        grid.save_figure(outdir / projecting.STRIP, shown)
        print(f"wrote .npz and .png files and {projecting.STRIP} to {outdir}")
    if bad:
        raise ValueError(f"{len(bad)} of {len(paths)} are no images that can be read")


def _show(bar, name: str, stage: str, done: int, total: int, loss: float) -> None:
    bar.set_description(f"{name}: {stage}, loss {loss:z.3g}", refresh=False)
    bar.total, bar.n = total, done
    bar.refresh()
