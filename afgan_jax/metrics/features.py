"""Feature vectors of images, by which metrics compare sets of images.

    features("inception")(images uint8 [N H W C]) -> [N 2048]

Feature networks take images of any size, 0 to 255, grey or RGB, and resize them as
published. Their weights come from `metrics.weights`.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from afgan_jax import errors, jax_settings
from afgan_jax.metrics import efficientnet, inception, vgg, weights

Images = Num[Array | np.ndarray, "N H W C"]
Extract = Callable[[Images], Any]


class Net(NamedTuple):
    """A row of NETS: a network, its weights, and its output `tap` for metrics."""

    module: nn.Module
    files: tuple[str, ...]
    norm_of: Callable[[str], str | None]
    tap: str


EFFICIENTNET = efficientnet.EfficientNetLite0(), ("efficientnet",), efficientnet.norm_of
INCEPTION = inception.Inception(), ("inception",), inception.norm_of
NETS = {
    "inception": Net(*INCEPTION, "2048"),
    # Without the bias, as in the published inception score.
    "inception_logits": Net(*INCEPTION, "logits_unbiased"),
    "vgg16": Net(vgg.VGG16(), ("vgg16",), vgg.norm_of, "fc2"),
    "efficientnet": Net(*EFFICIENTNET, "pooled"),
    "lpips": Net(vgg.Lpips(), ("vgg16", "lpips"), vgg.norm_of, "embedding"),
}


def features(
    name: str, paths: Mapping[str, str | os.PathLike] | None = None, **options
) -> Extract:
    """A compiled function of images that returns features [N D] of the net `name`.

    paths: files of weights ({"inception": "weights.pth"}) that are not in their usual
    place. options: as in `extractor`. Raises ValueError for an unknown name, and for
    weights that are missing or do not fit.
    """
    if name not in NETS:
        why = f"is unknown: use one of {', '.join(NETS)}"
        raise errors.SettingError("name", name, why)
    return extractor(name, load(name, paths or {}), **options)


def load(name: str, paths: Mapping[str, str | os.PathLike]) -> dict:
    """Parameters of the net `name`, from its files of weights."""
    net, state, read = NETS[name], {}, []
    for file in net.files:
        path = weights.locate(file, paths.get(file))
        state |= weights.read(path)
        read.append(path.name)
    return from_state(name, state, f"{name} in {' and '.join(read)}")


def from_state(name: str, state: Mapping[str, np.ndarray], what: str) -> dict:
    """Parameters of the net `name`, from a state dict."""
    net = NETS[name]
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), np.uint8)
    shapes = jax.eval_shape(net.module.init, jax_settings.key(0), images)["params"]
    return weights.to_params(state, shapes, net.norm_of, what)


def extractor(
    name: str,
    params: dict,
    *,
    taps: tuple[str, ...] | None = None,
    batch_size: int | None = None,
) -> Extract:
    """As `features`, with given parameters.

    taps: return a tuple of these outputs of the net instead. batch_size: run this many
    images at a time, so that one compiled program serves any N.
    """
    params = jax.device_put(params)

    @jax.jit
    def extract(params: dict, images: Images) -> tuple[Float[Array, "N D"], ...]:
        outputs = apply(name, params, images)
        return tuple(outputs[tap] for tap in taps or (NETS[name].tap,))

    @jax_settings.fixed()
    def run(images: Images) -> Any:
        size, parts = batch_size or len(images), []
        for start in range(0, len(images), size):
            part = images[start : start + size]
            full = part
            if len(part) < size:  # one shape, compiled once
                full = np.resize(part, (size, *part.shape[1:]))
            parts.append([found[: len(part)] for found in extract(params, full)])
        found = tuple(jnp.concatenate(outputs) for outputs in zip(*parts))
        return found if taps else found[0]

    return run


def apply(name: str, params: dict, images: Images) -> dict[str, Float[Array, "N D"]]:
    """All outputs of the net `name`, computed with products in full precision."""
    with jax.default_matmul_precision("highest"):
        return NETS[name].module.apply({"params": params}, images)
