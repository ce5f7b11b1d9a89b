"""Features of pictures: vectors in which sets of pictures are compared.

    features("inception")(images uint8 [N H W C]) -> [N 2048]

Feature networks take pictures of any size, 0 to 255, grey or RGB, and resize them as
the network's publishers do. Their weights come from `metrics.weights`.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from afgan_jax.metrics import efficientnet, inception, vgg, weights

Images = Num[Array | np.ndarray, "N H W C"]
Extract = Callable[[Images], Any]


class Net(NamedTuple):
    """A row of NETS: a network, the files of its weights, and which output counts."""

    module: nn.Module
    files: tuple[str, ...]
    norm_of: Callable[[str], str | None]
    tap: str
    size: int | None  # of a feature vector; None: it depends on the pictures'


EFFICIENTNET = efficientnet.EfficientNetLite0(), ("efficientnet",), efficientnet.norm_of
INCEPTION = inception.Inception(), ("inception",), inception.norm_of
NETS = {
    "inception": Net(*INCEPTION, "2048", 2048),
    # Without the bias, as the published inception score.
    "inception_logits": Net(*INCEPTION, "logits_unbiased", inception.CLASSES),
    "vgg16": Net(vgg.VGG16(), ("vgg16",), vgg.norm_of, "fc2", 4096),
    "efficientnet": Net(*EFFICIENTNET, "pooled", 1280),
    "lpips": Net(vgg.Lpips(), ("vgg16", "lpips"), vgg.norm_of, "embedding", None),
}


def features(
    name: str,
    paths: Mapping[str, str | os.PathLike] | None = None,
    *,
    taps: tuple[str, ...] | None = None,
    batch_size: int | None = None,
) -> Extract:
    """The function, compiled, of images to float32 features [N D] of the net `name`.

    `paths` names files of weights ({"inception": "weights.pth"}) that are not in their
    usual place. With `taps` it returns a tuple of those outputs of the net, for one
    pass where several are needed. With a `batch_size`, images go through in pieces of
    it, the last one filled up, so that one compiled program serves any N.
    Raises ValueError for an unknown name, or weights that are missing or do not fit.
    """
    if name not in NETS:
        raise ValueError(f"features {name!r} are not known, but {', '.join(NETS)}")
    params = load(name, paths or {})
    return extractor(name, params, taps=taps, batch_size=batch_size)


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
    shapes = jax.eval_shape(net.module.init, jax.random.key(0), images)["params"]
    return weights.to_params(state, shapes, net.norm_of, what)


def extractor(
    name: str,
    params: dict,
    *,
    taps: tuple[str, ...] | None = None,
    batch_size: int | None = None,
) -> Extract:
    """As `features`, of given parameters."""
    net = NETS[name]
    params = jax.device_put(params)

    @jax.jit
    def extract(params: dict, images: Images) -> tuple[Float[Array, "N D"], ...]:
        outputs = net.module.apply({"params": params}, images)
        return tuple(outputs[tap] for tap in taps or (net.tap,))

    def run(images: Images) -> Any:
        size = batch_size or len(images)
        if len(images) == size:
            found = extract(params, images)
        else:
            starts = range(0, len(images), size)
            pieces = (_filled(images[i : i + size], size) for i in starts)
            parts = zip(*(extract(params, piece) for piece in pieces))
            found = tuple(jnp.concatenate(part)[: len(images)] for part in parts)
        return found if taps else found[0]

    return run


def _filled(images: Images, size: int) -> Array | np.ndarray:
    lacking = size - len(images)
    if not lacking:
        return images
    return np.pad(np.asarray(images), [(0, lacking), (0, 0), (0, 0), (0, 0)])
