"""Write images of a trained generator: seedNNNN.png each, and all of them in grid.png.

python -m afgan_jax generate --run=runs/earth --seeds=0-15 --psi=0.7 --outdir=out

--run is a run, one of its checkpoints (RUN@STEP), or a snapshot (.pkl) of the published
program, in which nothing is run. A generator trained on labels needs one: --class=3 or
--class=NAME, or all its numbers, as --label=0,1,1 for several classes at once or
--label=0.5,-2 for any vector.

A seed means the same latent everywhere: numpy's RandomState(seed).randn(1, z_dim).
"""

import math
from pathlib import Path

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import labels

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "run", None, "run directory, RUN@STEP or published snapshot", flag_values=FLAGS
)
flags.DEFINE_integer("step", None, "checkpoint; default: newest", flag_values=FLAGS)
flags.DEFINE_string("seeds", "0-15", "such as 0-15 or 1,3,5-7", flag_values=FLAGS)
flags.DEFINE_float(
    "psi", 1.0, "truncation: 1 none, 0 the average image", flag_values=FLAGS
)
labels.define(FLAGS)
flags.DEFINE_float(
    "rotate", 0.0, "turn the image counterclockwise, degrees", flag_values=FLAGS
)
flags.DEFINE_string(
    "translate", "0,0", "move by x (right), y (down), image widths", flag_values=FLAGS
)
flags.DEFINE_string("outdir", "out", "where the images go", flag_values=FLAGS)
flags.DEFINE_integer("batch", 8, "images at a time", lower_bound=1, flag_values=FLAGS)


MAX_SHIFT = 1000.0  # image widths; beyond, rounding is all there is to see


def main(argv: list[str]) -> None:
    cli.parse(FLAGS, argv, required=("run",))
    seeds = cli.parse_ranges("seeds", FLAGS.seeds)
    for flag in ("psi", "rotate"):
        cli.check_finite(flag, FLAGS[flag].value)
    shift = parse_vec2("translate", FLAGS.translate)
    cli.check_writable("outdir", FLAGS.outdir)

    # Here, not on top: --help must not wait for JAX.
    import numpy as np

    from afgan_jax import model as models
    from afgan_jax.signal import pixels
    from afgan_jax.viz import grid

    source = FLAGS.run if FLAGS.step is None else f"{FLAGS.run}@{FLAGS.step}"
    model = models.load(source)
    label = labels.read(
        model.c_dim, FLAGS["class"].value, FLAGS.label, model.class_names
    )
    ws = model.ws(seeds, label=label, psi=FLAGS.psi)
    motion = {"rotate": math.radians(FLAGS.rotate), "translate": shift}
    images = model.synthesize(ws, batch=FLAGS.batch, **motion)
    pictures = pixels.to_uint8(images)
    outdir = Path(FLAGS.outdir)
    outdir.mkdir(parents=True, exist_ok=True)
    for seed, picture in zip(seeds, pictures, strict=True):
        grid.save_png(outdir / f"seed{seed:04d}.png", picture)
    columns = math.ceil(math.sqrt(len(pictures)))
    grid.save_png(outdir / "grid.png", grid.tile(np.stack(pictures), columns))
    print(f"wrote {len(pictures)} images and grid.png to {outdir}")


def parse_vec2(flag: str, text: str) -> tuple[float, float]:
    """Returns the two numbers of "0.1,0"."""
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        x = y = math.nan
    if not (abs(x) <= MAX_SHIFT and abs(y) <= MAX_SHIFT):
        raise ValueError(
            f"--{flag}={text} must be two numbers x,y such as 0.1,0, within {MAX_SHIFT}"
        )
    return x, y
