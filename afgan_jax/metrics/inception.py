"""Inception-v3 as TensorFlow published it in 2015: the network of FID, KID and IS.

It differs from the usual Inception-v3: 1008 outputs, average pools that do not count
their padding, and a maximum instead of an average in the last block (Mixed_7c). Batch
normalisation (epsilon 1e-3) is folded into the convolutions when weights are loaded.
Names are those of the PyTorch state dict.

Sources: Szegedy et al., Rethinking the Inception Architecture (2015);
Heusel et al., GANs Trained by a Two Time-Scale Update Rule (2017).
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from afgan_jax.metrics import resize

SIZE = 299  # pixels
CLASSES = 1008


class Conv(NamedTuple):
    """A convolution, its normalisation and a ReLU."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


class Split(NamedTuple):
    """Concatenated branches on the same input; `name` is a prefix of theirs."""

    name: str
    branches: tuple


K13, K31, K17, K71 = (1, 3), (3, 1), (1, 7), (7, 1)
average = partial(nn.avg_pool, window_shape=(3, 3), padding="SAME")
average = partial(average, count_include_pad=False)
maximum = partial(nn.max_pool, window_shape=(3, 3), padding="SAME")
shrink = partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2))


def _block_5(name: str, pooled: int) -> Split:
    """35 x 35 pixels."""
    one = Conv("branch1x1", 64)
    five = Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))
    double = Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, (3, 3))
    double += (Conv("branch3x3dbl_3", 96, (3, 3)),)
    pool = average, Conv("branch_pool", pooled)
    return Split(f"{name}.", ((one,), five, double, pool))


def _block_6(name: str, width: int) -> Split:
    """17 x 17 pixels."""
    one = Conv("branch1x1", 192)
    seven = Conv("branch7x7_1", width), Conv("branch7x7_2", width, K17)
    seven += (Conv("branch7x7_3", 192, K71),)
    double = Conv("branch7x7dbl_1", width), Conv("branch7x7dbl_2", width, K71)
    double += Conv("branch7x7dbl_3", width, K17), Conv("branch7x7dbl_4", width, K71)
    double += (Conv("branch7x7dbl_5", 192, K17),)
    pool = average, Conv("branch_pool", 192)
    return Split(f"{name}.", ((one,), seven, double, pool))


def _block_7(name: str, pool) -> Split:
    """8 x 8 pixels."""

    def halves(start: str) -> Split:
        a, b = Conv(f"{start}a", 384, K13), Conv(f"{start}b", 384, K31)
        return Split("", ((a,), (b,)))

    one = Conv("branch1x1", 320)
    three = Conv("branch3x3_1", 384), halves("branch3x3_2")
    double = Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, (3, 3))
    double += (halves("branch3x3dbl_3"),)
    return Split(f"{name}.", ((one,), three, double, (pool, Conv("branch_pool", 192))))


half = {"kernel": (3, 3), "stride": 2, "padding": "VALID"}
REDUCE_6 = Split(
    "Mixed_6a.",
    (
        (Conv("branch3x3", 384, **half),),
        (
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, (3, 3)),
            Conv("branch3x3dbl_3", 96, **half),
        ),
        (shrink,),
    ),
)
REDUCE_7 = Split(
    "Mixed_7a.",
    (
        (Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, **half)),
        (
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, K17),
            Conv("branch7x7x3_3", 192, K71),
            Conv("branch7x7x3_4", 192, **half),
        ),
        (shrink,),
    ),
)
# {tap: steps}; the tap is the mean over pixels of the result of the steps.
STAGES = {
    "64": (
        Conv("Conv2d_1a_3x3", 32, **half),
        Conv("Conv2d_2a_3x3", 32, (3, 3), padding="VALID"),
        Conv("Conv2d_2b_3x3", 64, (3, 3)),
        shrink,
    ),
    "192": (
        Conv("Conv2d_3b_1x1", 80),
        Conv("Conv2d_4a_3x3", 192, (3, 3), padding="VALID"),
        shrink,
    ),
    "768": (
        *(_block_5(f"Mixed_5{i}", width) for i, width in zip("bcd", (32, 64, 64))),
        REDUCE_6,
        *(_block_6(f"Mixed_6{i}", n) for i, n in zip("bcde", (128, 160, 160, 192))),
    ),
    "2048": (REDUCE_7, _block_7("Mixed_7b", average), _block_7("Mixed_7c", maximum)),
}


class Inception(nn.Module):
    """Images of any size, 0 to 255, grey or RGB, to {tap: features}."""

    @nn.compact
    def __call__(
        self, images: Num[Array | np.ndarray, "N H W C"]
    ) -> dict[str, Float[Array, "N D"]]:
        x = (resize.resize(resize.as_rgb(images), SIZE) - 128) / 128
        taps = {}
        for tap, steps in STAGES.items():
            x = self._run(steps, x, "")
            taps[tap] = x.mean(axis=(1, 2))
        taps["logits_unbiased"] = nn.Dense(CLASSES, False, name="fc")(taps["2048"])
        bias = self.param("fc.bias", nn.initializers.zeros, (CLASSES,))
        taps["logits"] = taps["logits_unbiased"] + bias
        return taps

    def _run(self, steps: tuple, x: Array, start: str) -> Array:
        for step in steps:
            if isinstance(step, Split):
                name = start + step.name
                parts = [self._run(branch, x, name) for branch in step.branches]
                x = jnp.concatenate(parts, axis=-1)
            elif isinstance(step, Conv):
                _, *window = step
                x = nn.relu(nn.Conv(*window, name=f"{start}{step.name}.conv")(x))
            else:
                x = step(x)
        return x


def norm_of(layer: str) -> str | None:
    """The name of the normalisation after a layer."""
    return layer.removesuffix("conv") + "bn" if layer.endswith(".conv") else None
