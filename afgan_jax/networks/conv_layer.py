"""The convolution layer of StyleGAN2 and of the discriminator.

Source: StyleGAN2, App. B.
"""

import math
import operator

import flax.linen as nn
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
        shape = (self.conv_kernel, self.conv_kernel, x.shape[-1], self.features)
        weight = self.param("weight", nn.initializers.normal(1.0), shape)
        y = conv_resample.conv_resample(
            x,
            weight / math.sqrt(math.prod(shape[:3])),
            f=BILINEAR,
            up=self.up,
            down=self.down,
            pad=self.conv_kernel // 2,
            flip_weight=self.up > 1,
        )
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = add(y, bias)
        return activation(self.activation, gain, self.clamp)(y)


def activation(name: str, gain: float, clamp: float | None) -> activations.Activation:
    """The activation, its usual gain and its clamp both multiplied by `gain`."""
    _, usual_gain = activations.ACTIVATIONS[name]
    clamp = None if clamp is None else clamp * gain
    return activations.Activation(name, usual_gain * gain, clamp=clamp)
