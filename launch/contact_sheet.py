"""Makes every figure there is, of one run, and a sheet of all of them to look at.

    python launch/contact_sheet.py --run=runs/earth --images=set.zip --outdir=out/all

Runs COMMANDS, verbs with few samples, each in a folder of its own; the sheet is
OUTDIR/sheet.png. 20 minutes on 2 CPU cores at 32x32 pixels, which had more to do.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from afgan_jax import __main__
from afgan_jax.viz import plot

# A folder of the outdir, and a command that writes its pictures there.
COMMANDS = (
    ("images", "generate --run={run} --seeds=0-15 --psi=0.7 --outdir={folder}"),
    ("squares", "generate --run={run} --seeds=0-3 --squares --outdir={folder}"),
    ("beyond", "generate --run={run} --seeds=0 --tiles=2x3 --outdir={folder}"),
    ("mix", "mix --run={run} --outdir={folder}"),
    ("sefa", "directions --run={run} --count=4 --outdir={folder}"),
    ("pca", "directions --run={run} --count=4 --method=pca --outdir={folder}"),
    (
        "project",
        "project {outdir}/images/seed0003.png --run={run} --steps=50 --outdir={folder}",
    ),
    (
        "film",
        "video --run={run} --seeds=0-1 --turns=1 --seconds=1 --fps=6 --beside"
        " --frames={folder} --out={folder}/film.gif",
    ),
    ("progress", "analyze progress --run={run} --outdir={folder}"),
    (
        "equivariance",
        "analyze equivariance --run={run} --samples=50 --frames=12 --outdir={folder}",
    ),
    ("layers", "analyze layers --run={run} --outdir={folder}"),
    (
        "layer-equivariance",
        "analyze layer-equivariance --run={run} --outdir={folder}",
    ),
    ("sticking", "analyze sticking --run={run} --samples=4 --outdir={folder}"),
    (
        "decibels",
        "metrics --run={run} --metrics=eqt100_int,eqt100_frac,eqr100"
        " --plot={folder}/decibels.png",
    ),
    ("reals", "spectra stats --images={images} --out={folder}/stats.npz"),
    (
        "reals",
        "spectra calc --images={images} --max-images=200 --stats={folder}/stats.npz"
        " --out={folder}/reals.npz",
    ),
    (
        "fakes",
        "spectra calc --run={run} --samples=200 --stats={outdir}/reals/stats.npz"
        " --out={folder}/fakes.npz",
    ),
    (
        "spectra",
        "spectra slices {outdir}/reals/reals.npz {outdir}/fakes/fakes.npz"
        " --out={folder}/slices.png",
    ),
    (
        "spectra",
        "spectra heatmap {outdir}/fakes/fakes.npz --out={folder}/heatmap.png",
    ),
    ("ladder", "ladder --kimg=0 --samples=2 --rows=e,f,t,r --workdir={folder}"),
    (
        "bench",
        "bench scaling --config=earth32 --repeats=1 --no-naive"
        " --plot={folder}/scaling.png",
    ),
)
COLUMNS, SIZE = 4, (4.6, 3.6)  # of the sheet, and of a picture in it, in inches


def commands(run: str, images: str, outdir: Path) -> list[tuple[Path, list[str]]]:
    """The folder and the words of each command."""
    given = {"run": run, "images": images, "outdir": outdir}
    return [
        (outdir / name, [w.format(**given, folder=outdir / name) for w in text.split()])
        for name, text in COMMANDS
    ]


def pictures(outdir: Path) -> list[Path]:
    """What is shown: all but numbered ones, which are also in a grid or a film."""
    found = [p for kind in ("png", "gif") for p in outdir.glob(f"*/[!.]*.{kind}")]
    return sorted(p for p in found if p.stem.rstrip("0123456789") == p.stem)


def sheet(outdir: Path) -> Path:
    """Draws all pictures of the folders of outdir beside each other."""
    found = pictures(outdir)
    figure, axes = plot.panels(len(found), COLUMNS, SIZE)
    for axis, path in zip(axes, found, strict=True):
        with Image.open(path) as opened:
            image = np.asarray(opened.convert("RGB"))
        axis.imshow(image, interpolation="antialiased")
        title = f"{path.relative_to(outdir)}, {image.shape[1]}x{image.shape[0]}"
        axis.set_title(title, loc="left")
        axis.set_axis_off()
    return plot.save(outdir / "sheet.png", figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="of a config with layers, F to R")
    parser.add_argument("--images", required=True, help="archive of real images")
    parser.add_argument("--outdir", type=Path, required=True)
    given = parser.parse_args()
    for folder, words in commands(given.run, given.images, given.outdir):
        folder.mkdir(parents=True, exist_ok=True)
        print("python -m afgan_jax", *words, flush=True)
        if code := __main__.main(words):
            return code
    print("wrote", sheet(given.outdir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
