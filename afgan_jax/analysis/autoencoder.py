"""Two autoencoders compared: do they treat an image alike wherever it lies?

An ordinary strided one and an alias-free one, of as many parameters, learn from the
same crops of the same images in the same order. Then images that neither has seen are
moved by parts of a pixel and by angles (`following`), at the size of whole tiles, of
which the inner part counts, far from borders.

    found = compare(tiles, steps=400)
    print(found.table()), found.following.figure("each"), found.strip()
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

from afgan_jax import errors, jax_settings
from afgan_jax.analysis import following, plane
from afgan_jax.networks import filtered
from afgan_jax.signal import bandlimit

Tiles = UInt8[np.ndarray, "N S S C"]
Report = Callable[[str, int, float], None]

NETWORKS = {"strided": None, "alias-free": bandlimit.DESIGN}
WIDTHS = (16, 32)  # channels at 64 and 32 pixels
CODE = 2  # channels at 32 pixels: a 6th of the image's numbers
CROP, BATCH = 64, 16  # pixels a side, of tiles, which are larger; crops a step
HELD, GAP = 32, 400  # tiles held out; tiles that overlap those, which nobody sees
EVERY = 20  # steps from one report to the next


class Autoencoder(nn.Module):
    """images [N H W C] -> the same again, by way of a code [N H/2 W/2 CODE].

    design: of its filters; None makes an ordinary strided one.
    """

    design: bandlimit.Design | None = bandlimit.DESIGN

    @nn.compact
    def __call__(self, images: Float[Array, "N H W C"]) -> Float[Array, "N H W C"]:
        layer = functools.partial(filtered.FilteredConv, design=self.design)
        x = layer(WIDTHS[0])(images)
        for width in WIDTHS[1:]:
            x = layer(width)(layer(width, down=2)(x))
        x = layer(CODE, 1, "linear")(x)
        x = layer(WIDTHS[-1], 1)(x)
        for width in WIDTHS[-2::-1]:
            x = layer(width)(layer(width, up=2)(x))
        return layer(images.shape[-1], activation="linear")(x)


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, the count of its parameters and how long it took."""

    run: plane.Network
    parameters: int
    seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Networks by name, the images held out, and how the networks follow these."""

    trained: dict[str, Trained]
    images: plane.Images
    following: following.Following

    def table(self) -> str:
        """Sizes, losses and times; then `Following.table`."""
        lines = [
            f"{name}: {net.parameters} parameters, loss"
            f" {self.following.losses[name]:z.6f}, {net.seconds:z.0f} s of training"
            for name, net in self.trained.items()
        ]
        return "\n".join([*lines, self.following.table()])

    def strip(self, count: int = 8) -> UInt8[np.ndarray, "_H _W C"]:
        """Images held out and their reconstructions; see `following.strip`."""
        runs = {name: net.run for name, net in self.trained.items()}
        return following.strip(runs, self.images, count)


@jax_settings.fixed()
def compare(
    tiles: Tiles,
    steps: int = 400,
    *,
    rate: float = 2e-3,
    held: int = HELD,
    gap: int = GAP,
    moves: Mapping[str, following.Moves] = following.MOVES,
    report: Report | None = None,
) -> Comparison:
    """Both networks, trained on tiles in [0, 255] and judged by those held out.

    These are the `held` tiles in the middle; none of the `gap` tiles on either side,
    which may show the same places, is trained on. rate: of learning, at the start; few
    steps need a higher one. report(name, step, loss) is called at times. Raises
    SettingError if nothing is left to train on.
    """
    middle = len(tiles) // 2  # the earth set goes from north to south: a belt
    seen = np.concatenate([tiles[: max(middle - gap, 0)], tiles[middle + held + gap :]])
    if not len(seen):
        why = f"leaves none of {len(tiles)} tiles to train on"
        raise errors.SettingError("gap", gap, why)
    images = plane.Images(_scaled(tiles[middle : middle + held]))
    trained = {}
    for name, design in NETWORKS.items():
        tell = report and functools.partial(report, name)
        trained[name] = train(Autoencoder(design), seen, steps, rate, tell)
    runs = {name: net.run for name, net in trained.items()}
    return Comparison(trained, images, following.measure(runs, images, moves))


@jax_settings.fixed()
def train(
    net: nn.Module,
    tiles: Tiles,
    steps: int,
    rate: float,
    report: Callable[[int, float], None] | None = None,
) -> Trained:
    """The network after so many steps of least squares on crops of tiles."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
    blank = jnp.zeros((1, CROP, CROP, tiles.shape[-1]))
    params = jax.jit(net.init)(jax_settings.key(0), blank)
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
    for step in range(1, steps + 1):
        params, state, value = update(params, state, _scaled(_crops(rng, tiles)))
        if report and (step % EVERY == 0 or step == steps):
            report(step, float(value))
    jax.block_until_ready(params)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    run = jax.jit(functools.partial(net.apply, params))
    return Trained(run, size, time.perf_counter() - start)


def _crops(rng: np.random.Generator, tiles: Tiles) -> UInt8[np.ndarray, "_N _H _W C"]:
    """BATCH crops of CROP pixels, anywhere in any tiles."""
    chosen = rng.integers(len(tiles), size=BATCH)
    rows, columns = rng.integers(tiles.shape[1] - CROP + 1, size=(2, BATCH))
    places = zip(chosen, rows, columns)
    return np.stack([tiles[i, y : y + CROP, x : x + CROP] for i, y, x in places])


def _scaled(images: Tiles) -> Float[np.ndarray, "N S S C"]:
    """From bytes to [-1, 1]."""
    return images.astype(np.float32) / 127.5 - 1
