"""Do networks treat an image alike wherever it lies? Two autoencoders compared.

python launch/autoencoder.py --outdir=out/autoencoder

Trains an ordinary strided autoencoder and an alias-free one, of as many parameters, on
the same crops of the earth set in the same order. Then images that neither has seen,
input and target alike, are moved by parts of a pixel and by angles. Writes
autoencoder.json, loss.png and following.png (both against the motion), examples.png.

Images are larger than what is looked at, and without the frequencies that turning
would lose, so that a motion takes nothing from them. Of the 80 pixels that the networks
make, the inner 40 count, far from borders.
"""

import argparse
import functools
import json
import math
import sys
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import fft, ndimage

from afgan_jax.data import sets
from afgan_jax.networks import filtered
from afgan_jax.runs import atomic
from afgan_jax.signal import bandlimit, pixels
from afgan_jax.viz import grid, plot

NETWORKS = {"strided": None, "alias-free": bandlimit.DESIGN}
WIDTHS = (16, 32)  # channels at 64 and 32 pixels
CODE = 2  # channels at 32 pixels: a 6th of the image's numbers
TILE, CROP, SEEN, INNER = 128, 64, 80, 40  # pixels: a tile, trained on, shown, judged
BATCH, RATE = 16, 2e-3
HELD, GAP = 32, 400  # tiles held out; tiles that overlap those, which nobody sees
MOVES = {  # name: (amounts, the motion of one: right in pixels, angle)
    "shift, pixels": ((0.25, 0.5, 1, 1.5, 2, 3, 4), lambda a: (a, 0.0)),
    "turn, degrees": ((2, 5, 10, 20, 30, 45), lambda a: (0.0, math.radians(a))),
}
# For factor 1.1: a disc up to the Nyquist frequency, whose corners nothing turns into.
DISC = bandlimit.Design(cutoff=0.85, stopband=1.1, taps=12, radial=True)


class Autoencoder(nn.Module):
    """images [N H W 3] -> the same again, by way of a code [N H/2 W/2 CODE]."""

    design: bandlimit.Design | None

    @nn.compact
    def __call__(self, images):
        layer = functools.partial(filtered.FilteredConv, design=self.design)
        x = layer(WIDTHS[0])(images)
        for width in WIDTHS[1:]:
            x = layer(width)(layer(width, down=2)(x))
        x = layer(CODE, 1, "linear")(x)
        x = layer(WIDTHS[-1], 1)(x)
        for width in WIDTHS[-2::-1]:
            x = layer(width)(layer(width, up=2)(x))
        return layer(3, activation="linear")(x)


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--outdir", type=Path, default=Path("out/autoencoder"))
    flags.add_argument("--steps", type=int, default=400)
    flags.add_argument("--data", default="earth", help=f"a set of {TILE}x{TILE} images")
    flags = flags.parse_args(argv)
    flags.outdir.mkdir(parents=True, exist_ok=True)
    archive = sets.open_set(
        flags.data, cache_dir=flags.outdir / ".cache", resolution=TILE
    )
    tiles = np.stack([archive[i][0] for i in range(len(archive))])
    middle = len(tiles) // 2  # the earth set goes from north to south: a belt
    seen = np.concatenate([tiles[: middle - GAP], tiles[middle + HELD + GAP :]])
    examples = Images(scaled(tiles[middle : middle + HELD]))
    report, networks = {"steps": flags.steps}, {}
    for name, design in NETWORKS.items():
        net = Autoencoder(design)
        params, seconds = train(net, seen, flags.steps, name)
        networks[name] = jax.jit(functools.partial(net.apply, params))
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        report[name] = {"parameters": size, "seconds": round(seconds)}
        report[name] |= judge(networks[name], examples)
    atomic.write(flags.outdir / "autoencoder.json", json.dumps(report, indent=2) + "\n")
    draw(flags.outdir, report, networks, examples)
    print(table(report))


def train(net: Autoencoder, tiles, steps: int, name: str):
    """(params, seconds) after so many steps of least squares on crops of tiles."""
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))
    params = jax.jit(net.init)(jax.random.key(0), jnp.zeros((1, CROP, CROP, 3)))
    state = optimizer.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(params, state, images):
        def loss(params):
            return jnp.mean((net.apply(params, images) - images) ** 2)

        value, gradients = jax.value_and_grad(loss)(params)
        changes, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, changes), state, value

    rng = np.random.default_rng(0)
    start = time.perf_counter()
    for step in range(steps):
        chosen = rng.integers(len(tiles), size=BATCH)
        rows, columns = rng.integers(TILE - CROP + 1, size=(2, BATCH))
        crops = [
            tiles[i, y : y + CROP, x : x + CROP]
            for i, y, x in zip(chosen, rows, columns)
        ]
        params, state, value = update(params, state, scaled(np.stack(crops)))
        if step % 20 == 19 or step == steps - 1:
            line = f"\r{name}: step {step + 1} of {steps}, loss {float(value):.5f} "
            print(line, end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return params, time.perf_counter() - start


def scaled(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 127.5 - 1


class Images:
    """Images [N H W C] on the plane, to be looked at in any position."""

    def __init__(self, images):
        images = disc(images)
        self.size = images.shape[1]
        # Four times finer with no frequency lost or added (mirrored at the borders),
        # and between those pixels cubic splines: off by less than 1e-4.
        waves = fft.dctn(images, axes=(1, 2), norm="forward")
        finer = [(0, 0), (0, 3 * self.size), (0, 3 * self.size), (0, 0)]
        fine = fft.idctn(np.pad(waves, finer), axes=(1, 2), norm="forward")
        for axis in (1, 2):
            fine = ndimage.spline_filter1d(fine, 3, axis, np.float32, "reflect")
        self.splines = fine

    def seen(self, size: int, right: float = 0.0, angle: float = 0.0) -> np.ndarray:
        """The middle [N size size C] after a shift in pixels, or a turn."""
        y, x = np.meshgrid(*2 * [np.arange(size) - (size - 1) / 2], indexing="ij")
        x = x - right
        x, y = (  # counterclockwise on the screen, where y goes down
            math.cos(angle) * x - math.sin(angle) * y,
            math.sin(angle) * x + math.cos(angle) * y,
        )
        at = [4 * (p + self.size / 2) - 0.5 for p in (y, x)]
        look = functools.partial(
            ndimage.map_coordinates, coordinates=at, mode="reflect", prefilter=False
        )
        planes = [
            [look(c) for c in np.moveaxis(image, -1, 0)] for image in self.splines
        ]
        return np.moveaxis(np.stack(planes), 1, -1).astype(np.float32)


@jax.jit
def _disc(images):
    return bandlimit.lowpass(images, 1.1, DISC)


def disc(images) -> np.ndarray:
    """Images without what turning could lose."""
    return np.asarray(_disc(images))


def inner(images):
    border = (images.shape[1] - INNER) // 2
    return np.asarray(images[:, border : border + INNER, border : border + INNER])


def power(images) -> np.ndarray:
    """[N] mean squares over the inner pixels."""
    return np.mean(inner(images).astype(np.float64) ** 2, axis=(1, 2, 3))


def judge(run, examples: Images) -> dict:
    """The loss, and for every motion, with the same part of an image in view,

    mean       the loss of all images when moved over that when unmoved
    each       by what part an image's own loss changes: root mean square
    following  of the loss, what the reconstruction of the moved image differs by from
               the moved reconstruction: mean squares
    """
    still = examples.seen(SEEN)
    reconstructions = Images(run(still))
    found = {"loss": power(reconstructions.seen(SEEN) - still).mean()}
    for name, (amounts, motion) in MOVES.items():
        rows = {"amount": list(amounts), "mean": [], "each": [], "following": []}
        for amount in amounts:
            target = examples.seen(SEEN, *motion(amount))
            moved = reconstructions.seen(SEEN, *motion(amount))
            made = disc(run(target))
            before, after = power(moved - target), power(made - target)
            rows["mean"].append(after.mean() / before.mean())
            rows["each"].append(np.sqrt(np.mean((after / before - 1) ** 2)))
            rows["following"].append(power(made - moved).mean() / before.mean())
        found[name] = {key: [float(v) for v in row] for key, row in rows.items()}
    return found


def draw(folder: Path, report: dict, networks: dict, examples: Images) -> None:
    """loss.png, following.png and examples.png."""
    quantities = {
        "loss.png": ("each", "change of an image's loss, %", 100),
        "following.png": ("following", "part that does not follow, % of the loss", 100),
    }
    for file, (key, label, factor) in quantities.items():
        panels = {
            move: {
                net: (
                    np.asarray(report[net][move]["amount"]),
                    factor * np.asarray(report[net][move][key]),
                )
                for net in NETWORKS
            }
            for move in MOVES
        }
        top = max(y.max() for curves in panels.values() for _, y in curves.values())
        labels = {"xlabel": "moved by", "ylabel": label}
        figure = plot.curve_panels(panels, **labels, ylim=(0, 1.05 * top))
        plot.save(folder / file, figure)
    shown, captions = [], []
    for caption, motion in {
        "unmoved": (0.0, 0.0),
        "moved right by half a pixel": (0.5, 0.0),
        "turned by 30 degrees": (0.0, math.radians(30)),
    }.items():
        images = examples.seen(SEEN, *motion)[:8]
        for name, run in ({"images": lambda x: x} | networks).items():
            shown.append(inner(run(images)))
            captions.append(f"{name}, {caption}")
    rows = [pixels.to_uint8(row).repeat(2, axis=1).repeat(2, axis=2) for row in shown]
    grid.save_png(folder / "examples.png", grid.strip(rows, captions))


def table(report: dict) -> str:
    """A line for each motion; columns in per cent, of both networks."""
    names = list(NETWORKS)
    lines = [
        f"{name}: {report[name]['parameters']} parameters, loss"
        f" {report[name]['loss']:.6f}, {report[name]['seconds']} s of training"
        for name in names
    ]
    titles = {"mean": "loss", "each": "each", "following": "not following"}
    heads = [f"{title} {name}" for title in titles.values() for name in names]
    lines.append("  ".join(["moved by".ljust(20), *heads]))
    for move, (amounts, _) in MOVES.items():
        for i, amount in enumerate(amounts):
            values = [report[n][move][key][i] for key in titles for n in names]
            cells = [f"{100 * v:.2f} %".rjust(len(h)) for v, h in zip(values, heads)]
            lines.append("  ".join([f"{amount:g} ({move})".ljust(20), *cells]))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
