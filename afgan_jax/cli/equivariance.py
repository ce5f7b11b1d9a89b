"""Measure how exactly a trained generator's images follow its input, and show it.

python -m afgan_jax equivariance --run=runs/earth --samples=200 --outdir=out
python -m afgan_jax equivariance --run=runs/flowers --class=3 --outdir=out

Writes equivariance.json (dB), equivariance.png (one w turned and shifted by parts of a
pixel) and rotation.gif, each beside the same network with its low-pass filters switched
off: pixels repeated on the way up and dropped on the way down, as in an ordinary GAN.
Classes are those of --class or --label, or else drawn as the run's set has them.
"""

import functools
import json
import math
from pathlib import Path

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import labels

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "run directory of the training", flag_values=FLAGS)
flags.DEFINE_integer("step", None, "checkpoint; default: newest", flag_values=FLAGS)
flags.DEFINE_integer(
    "samples", 1000, "images measured by each metric", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_integer("batch", 4, "images at a time", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer(
    "seed",
    None,
    "to show; default: one of 0-31 of some contrast",
    lower_bound=0,
    upper_bound=2**32 - 1,
    flag_values=FLAGS,
)
flags.DEFINE_float("psi", 0.7, "truncation of the images shown", flag_values=FLAGS)
flags.DEFINE_integer(
    "frames", 48, "frames of the animation", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_string(
    "data", None, "set of the classes; default: the run's", flag_values=FLAGS
)
labels.define(FLAGS)
flags.DEFINE_string("outdir", "out", "where the files go", flag_values=FLAGS)

KINDS = {"eqt_int": "EQ-T", "eqt_frac": "EQ-T_frac", "eqr": "EQ-R"}
ANGLES = [0, 15, 30, 45, 60, 75, 90]  # degrees
SHIFTS = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]  # pixels
ZOOM = 3


def main(argv: list[str]) -> None:
    cli.parse(FLAGS, argv, required=("run",))
    cli.check_finite("psi", FLAGS.psi)
    cli.check_writable("outdir", FLAGS.outdir)

    # Here, not on top: --help must not wait for JAX.
    import jax
    import numpy as np

    from afgan_jax.metrics import equivariance
    from afgan_jax.runs import atomic, saved_networks
    from afgan_jax.signal import affine
    from afgan_jax.viz import grid

    # Accelerators round the factors of products otherwise, and would be measured too.
    jax.config.update("jax_default_matmul_precision", "highest")
    G, variables, _ = saved_networks.load_generator(FLAGS.run, FLAGS.step)
    if not G.synthesis.can_move:
        raise ValueError("this is a StyleGAN2 generator: it has no input to move")
    classes = choose_classes(G)
    networks = {
        "filters on": G,
        "filters off": saved_networks.load_generator(
            FLAGS.run, FLAGS.step, lowpass="none"
        )[0],
    }
    resolution = G.synthesis.resolution
    outdir = Path(FLAGS.outdir)
    outdir.mkdir(parents=True, exist_ok=True)
    z, c = choose_latent(G, variables, classes)
    decibels, rows, captions, films = {}, [], [], []
    for name, network in networks.items():

        @jax.jit
        def draw(variables, classes, key, transform, G=network):
            z = jax.random.normal(key, (FLAGS.batch, G.mapping.z_dim))
            c = jax.random.choice(jax.random.fold_in(key, 1), classes, (FLAGS.batch,))
            return apply(G, variables, z, c, transform=transform)

        @jax.jit
        def show(variables, transform, G=network):
            return apply(G, variables, z, c, psi=FLAGS.psi, transform=transform)[0]

        def pictures(transforms, show=show):
            images = np.stack([np.asarray(show(variables, t)) for t in transforms])
            return enlarge(grid.to_uint8(images))

        decibels[name] = equivariance.measure(
            functools.partial(draw, variables, classes),
            num_samples=FLAGS.samples,
            batch_size=FLAGS.batch,
            seed=0,
            resolution=resolution,
        )
        turns = [affine.user_transform(math.radians(a)) for a in ANGLES]
        moves = [affine.user_transform(0.0, s / resolution) for s in SHIFTS]
        frames = np.arange(FLAGS.frames) * (2 * math.pi / FLAGS.frames)
        rows += [pictures(turns), pictures(moves)]
        captions += [
            f"{name}: turned by {', '.join(map(str, ANGLES))} degrees",
            f"{name}: shifted by {', '.join(map(str, SHIFTS))} pixels",
        ]
        films.append(pictures([affine.user_transform(a) for a in frames]))
    grid.save_png(outdir / "equivariance.png", grid.strip(rows, captions))
    gap = np.full((len(films[0]), films[0].shape[1], 6, films[0].shape[3]), 255, "u1")
    film = np.concatenate([films[0], gap, films[1]], axis=2)
    grid.save_gif(outdir / "rotation.gif", list(film), fps=12.5)
    report = {"samples": FLAGS.samples, "unit": "dB"} | decibels
    atomic.write(outdir / "equivariance.json", json.dumps(report, indent=2))
    print(table(decibels))
    print(f"wrote equivariance.png, equivariance.json and rotation.gif to {outdir}")


def choose_classes(G):
    """Labels [M c_dim] to draw from."""
    from afgan_jax.runs import run_directory

    return labels.choose(
        FLAGS, run_directory.Run.open(FLAGS.run), G.mapping.c_dim, FLAGS.data
    )


def apply(G, variables, z, c, **options):
    """Images of z and labels c, which may be of no numbers."""
    return G.apply(variables, z, c if G.mapping.c_dim else None, **options)


def choose_latent(G, variables, classes):
    """(z [1 z_dim], c [1 c_dim]) of the seed asked for, or such that motion shows."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    seeds = range(32) if FLAGS.seed is None else [FLAGS.seed]
    latents = [np.random.RandomState(s).randn(1, G.mapping.z_dim) for s in seeds]
    z = jnp.asarray(np.concatenate(latents), jnp.float32)
    c = jnp.asarray(classes)[jnp.asarray(seeds) % len(classes)]
    pictures = jax.jit(lambda v: apply(G, v, z, c, psi=FLAGS.psi))(variables)
    # Colours that differ across the picture; the most extreme pictures are freaks.
    colours = jnp.clip(pictures[..., 0] - pictures[..., -1], -1, 1)
    chosen = int(jnp.argsort(jnp.std(colours, axis=(1, 2)))[len(seeds) * 7 // 8])
    return z[chosen : chosen + 1], c[chosen : chosen + 1]


def enlarge(images):
    """Repeat pixels: [N H W C] -> [N ZOOM*H ZOOM*W C]."""
    return images.repeat(ZOOM, axis=1).repeat(ZOOM, axis=2)


def table(decibels: dict[str, dict[str, float]]) -> str:
    """Rows of dB by network, a column a metric."""
    lines = [" " * 12 + "".join(f"{label:>11}" for label in KINDS.values())]
    for name, values in decibels.items():
        lines.append(f"{name:12}" + "".join(f"{values[k]:8.2f} dB" for k in KINDS))
    return "\n".join(lines)
