"""VGG16: the features of precision and recall, and LPIPS for perceptual path length.

LPIPS is a distance of images: five maps of VGG16, each normalised over its channels,
are compared by a weighted squared difference, averaged over pixels. Here it is an
embedding whose squared Euclidean distance is LPIPS. Names are those of the PyTorch
state dicts.

Sources: Simonyan and Zisserman, Very Deep Convolutional Networks (2014);
Zhang et al., The Unreasonable Effectiveness of Deep Features (2018).
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from afgan_jax.metrics import resize

SIZE = 224  # pixels
# (channels, numbers of the convolutions in `features`); pooling by 2 comes after each.
BLOCKS = (
    (64, (0, 2)),
    (128, (5, 7)),
    (256, (10, 12, 14)),
    (512, (17, 19, 21)),
    (512, (24, 26, 28)),
)
# Of images of 0 to 255.
MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = 255 * np.array([0.229, 0.224, 0.225], np.float32)
LPIPS_MEAN = 127.5 * (1 + np.array([-0.030, -0.088, -0.188], np.float32))
LPIPS_DEVIATION = 127.5 * np.array([0.458, 0.448, 0.450], np.float32)

Images = Num[Array | np.ndarray, "N H W C"]


class VGG16(nn.Module):
    """Images of any size, 0 to 255, grey or RGB, to {"fc2": the second dense layer}.

    They are resized as torch-fidelity does. How the published program resizes them is
    not known, so its precision and recall may differ slightly.
    """

    @nn.compact
    def __call__(self, images: Images) -> dict[str, Float[Array, "N 4096"]]:
        x = (resize.resize(resize.as_rgb(images), SIZE) - MEAN) / DEVIATION
        x = _pool(_maps(x)[-1])
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # flattened as C, H, W
        for name in ("classifier.0", "classifier.3"):
            x = nn.relu(nn.Dense(4096, name=name)(x))
        return {"fc2": x}


class Lpips(nn.Module):
    """Images of at least 16 x 16, 0 to 255, to {"embedding"} and maps' means."""

    @nn.compact
    def __call__(self, images: Images) -> dict[str, Float[Array, "N D"]]:
        maps = _maps((resize.as_rgb(images) - LPIPS_MEAN) / LPIPS_DEVIATION)
        parts, taps = [], {}
        for i, x in enumerate(maps):
            _, height, width, channels = x.shape
            name = f"lin{i}.model.1.weight"
            shape = (1, channels, 1, 1)
            importance = self.param(name, nn.initializers.ones, shape).reshape(-1)
            unit = x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-10)
            part = unit * jnp.sqrt(importance / (height * width))
            parts.append(part.reshape(len(x), -1))
            taps[f"tap{i}"] = x.mean(axis=(1, 2))
        return {"embedding": jnp.concatenate(parts, axis=1), **taps}


def _maps(x: Float[Array, "N H W 3"]) -> list[Array]:
    """The last ReLU of each block; called in a module."""
    found = []
    for channels, numbers in BLOCKS:
        x = _pool(found[-1]) if found else x
        for number in numbers:
            x = nn.relu(nn.Conv(channels, (3, 3), name=f"features.{number}")(x))
        found.append(x)
    return found


def _pool(x: Array) -> Array:
    return nn.max_pool(x, (2, 2), (2, 2))


def norm_of(layer: str) -> None:
    """VGG16 has no normalisation."""
