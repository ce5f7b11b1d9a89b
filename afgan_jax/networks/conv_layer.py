"""The convolution layer of StyleGAN2 and of the discriminator.

Source: StyleGAN2, App. B.
"""

import math
import operator

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from afgan_jax.signal import activations, conv_resample, precision

BILINEAR = np.array([1, 3, 3, 1]) / 8
add = precision.widened(operator.add)


class ConvLayer(nn.Module):
    """Equalised convolution, resampling and activation: [N H W I] -> [N H2 W2 O]."""

    features: int
    conv_kernel: int
    activation: str = "linear"
    bias: bool = True
    up: int = 1
    down: int = 1
    clamp: float | None = None

    @nn.compact
    def __call__(self, x, gain: float = 1.0):
        y, bias = convolve(self, x, BILINEAR)
        y = y if bias is None else add(y, bias)
        return activation(self.activation, gain, self.clamp)(y)


def convolve(layer: nn.Module, x, f: np.ndarray | None):
    """(x convolved and resampled with filter f, bias or None), as `layer` declares."""
    shape = (layer.conv_kernel, layer.conv_kernel, x.shape[-1], layer.features)
    weight = layer.param("weight", nn.initializers.normal(1.0), shape, jnp.float32)
    y = conv_resample.conv_resample(
        x,
        weight / math.sqrt(math.prod(shape[:3])),
        f=f,
        up=layer.up,
        down=layer.down,
        pad=layer.conv_kernel // 2,
        flip_weight=layer.up > 1,
    )
    if not layer.bias:
        return y, None
    bias = layer.param("bias", nn.initializers.zeros, shape[3:], jnp.float32)
    return y, bias


def activation(name: str, gain: float, clamp: float | None) -> activations.Activation:
    """The activation, its usual gain and its clamp both multiplied by `gain`."""
    _, usual_gain = activations.ACTIVATIONS[name]
    clamp = None if clamp is None else clamp * gain
    return activations.Activation(name, usual_gain * gain, clamp=clamp)
