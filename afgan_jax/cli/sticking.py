"""Show whether texture sticks to pixels while a generator's input moves, and score it.

python -m afgan_jax sticking --run=runs/earth --outdir=out

sticking.png: one row of pixels, each line a moment later, while the input moves to the
right, above the same of the network with its low-pass filters switched off. Detail that
sticks to pixels shows as streaks down the picture, detail that follows as slanted hair.
With --drift, also while w drifts. sticking.json: of the power of detail along rows, the
share that stays at its pixels and the share that follows the input when it moves by
whole pixels, and the score stays / (stays + follows), 0 for alias-free and 1 for stuck.
"""

import json
from pathlib import Path

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import labels

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "run directory of the training", flag_values=FLAGS)
flags.DEFINE_integer("step", None, "checkpoint; default: newest", flag_values=FLAGS)
flags.DEFINE_integer("samples", 16, "images measured", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer("batch", 4, "images at a time", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer(
    "reach",
    None,
    "pixels moved either way, measured; default: 1/8 of the width, 16 at most",
    lower_bound=1,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "image",
    0,
    "which of the images measured is shown",
    lower_bound=0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "row",
    None,
    "of pixels shown; default: that of most detail",
    lower_bound=0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "frames", 64, "lines of the picture", lower_bound=2, flag_values=FLAGS
)
flags.DEFINE_float("pace", 0.25, "pixels moved a line", flag_values=FLAGS)
flags.DEFINE_float(
    "drift",
    0.0,
    "show also how w goes this part of the way to another one's",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "data", None, "set of the classes; default: the run's", flag_values=FLAGS
)
labels.define(FLAGS)
flags.DEFINE_string("outdir", "out", "where the files go", flag_values=FLAGS)

KERNELS = {"filters on": {}, "filters off": {"lowpass": "none"}}
SHOWN = 256  # pixels; narrower pictures are enlarged


def main(argv: list[str]) -> None:
    cli.parse(FLAGS, argv, required=("run",))
    for flag in ("pace", "drift"):
        cli.check_finite(flag, FLAGS[flag].value)
    cli.check_writable("outdir", FLAGS.outdir)
    if FLAGS.image >= FLAGS.samples:
        raise ValueError(
            f"--image={FLAGS.image} must be below --samples={FLAGS.samples}"
        )

    # Here, not on top: --help must not wait for JAX.
    import jax
    import numpy as np

    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid

    # Accelerators round the factors of products otherwise, and would be measured too.
    jax.config.update("jax_default_matmul_precision", "highest")
    network = cli.open_network(FLAGS)
    size = network.resolution
    if size is None:
        raise ValueError("this is a StyleGAN2 generator: it has no input to move")
    if FLAGS.row is not None and FLAGS.row >= size:
        raise ValueError(f"--row={FLAGS.row} must be below {size}, the image's height")
    reach = FLAGS.reach or min(max(size // 8, 1), 16)
    ws = latents(network)
    report = {"samples": FLAGS.samples, "reach": reach}
    lines, captions, row = [], [], FLAGS.row
    for name, changes in KERNELS.items():
        if changes:
            network = cli.open_network(FLAGS, **changes)
        show = jax.jit(network.synthesize)
        report[name] = measure(show, network, ws, reach)
        pictures, row = films(show, network, ws, row)
        lines.append(enlarge(grid.to_uint8(np.stack(list(pictures.values())))))
        score = report[name]["score"]
        captions.append(f"{name}, score {score:.3f}: {', '.join(pictures)}; row {row}")
    outdir = Path(FLAGS.outdir)
    outdir.mkdir(parents=True, exist_ok=True)
    grid.save_png(outdir / "sticking.png", grid.strip(lines, captions, gap=4))
    atomic.write(outdir / "sticking.json", json.dumps(report, indent=2) + "\n")
    for name in KERNELS:
        print(name, *(f"{key} {value:.4f}" for key, value in report[name].items()))
    print(f"wrote sticking.png and sticking.json to {outdir}")


def latents(network):
    """ws [samples + 1, L, w_dim] of pictures 0, 1, ...; the last one is to drift to."""
    import jax
    import numpy as np

    def found(variables, numbers):
        z, _, c = network.pairs(variables, numbers)
        return network.mapping(variables, z, c)

    return np.asarray(jax.jit(found)(network.variables, np.arange(FLAGS.samples + 1)))


def measure(show, network, ws, reach: int) -> dict[str, float]:
    """{"score", "stays", "follows"} of the samples, pooled."""
    import jax.numpy as jnp
    import numpy as np

    from afgan_jax.analysis import texture_sticking

    def render(numbers, transform):
        chosen = ws[np.resize(numbers, FLAGS.batch)]  # one shape, compiled once
        transforms = jnp.broadcast_to(transform, (FLAGS.batch, 3, 3))
        return show(network.variables, chosen, transform=transforms)[: len(numbers)]

    numbers = np.arange(FLAGS.samples)
    batches = np.split(numbers, range(FLAGS.batch, FLAGS.samples, FLAGS.batch))
    shares = texture_sticking.measure(
        render, batches, resolution=network.resolution, reach=reach
    )
    return {"score": shares.score} | shares._asdict()


def films(show, network, ws, row: int | None):
    """({what moves: [frames W C]}, row), the row chosen where it is None."""
    import numpy as np

    from afgan_jax.analysis import texture_sticking

    def frames(ws, transforms):
        for start in range(0, len(ws), FLAGS.batch):
            at = np.arange(start, min(start + FLAGS.batch, len(ws)))
            full = np.resize(at, FLAGS.batch)  # one shape, compiled once
            images = show(network.variables, ws[full], transform=transforms[full])
            yield np.asarray(images[: len(at)])

    time = np.linspace(-0.5, 0.5, FLAGS.frames)
    pixels = time * (FLAGS.frames - 1) * FLAGS.pace
    moves = np.stack([texture_sticking.shift(u, network.resolution) for u in pixels])
    still = np.broadcast_to(np.eye(3, dtype=np.float32), moves.shape)
    here, there = ws[FLAGS.image], ws[FLAGS.image + 1]
    stays = np.broadcast_to(here, (FLAGS.frames, *here.shape))
    if row is None:
        row = texture_sticking.liveliest_row(next(frames(stays, still))[0])
    pictures = {
        "the input moves": texture_sticking.stack_row(frames(stays, moves), row)
    }
    if FLAGS.drift:
        part = FLAGS.drift * (time + 0.5)[:, None, None].astype(np.float32)
        drifting = here + part * (there - here)
        pictures["w drifts"] = texture_sticking.stack_row(frames(drifting, still), row)
    return pictures, row


def enlarge(pictures):
    """Repeat pixels [N T W C] until they are about SHOWN wide."""
    zoom = max(SHOWN // pictures.shape[2], 1)
    return pictures.repeat(zoom, axis=1).repeat(zoom, axis=2)
