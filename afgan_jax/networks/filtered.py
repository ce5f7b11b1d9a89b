"""Convolution layers that keep feature maps band-limited, for networks of any kind.

The linear part of a layer needs no care: convolving adds no frequency. What aliases is
a change of rate and the nonlinearity, so both go through low-pass filters (bandlimit).
"""

import math
from collections.abc import Callable

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.networks import conv_layer
from afgan_jax.signal import bandlimit, conv_resample


class FilteredConv(nn.Module):
    """Equalised convolution, change of rate, nonlinearity: [*N H W I] -> [*N H2 W2 O].

    Going down, x is low-passed before the convolution skips pixels; going up, after it
    has filled some in. `activation` is a name of activations.ACTIVATIONS or any
    elementwise function; named ones have their usual gain, `gain` and `clamp`.
    design=None makes an ordinary layer of the same parameters: pixels repeated going
    up, skipped going down, and the activation on the pixels as they are. Raises
    ValueError if the rate is to go both up and down.
    """

    features: int
    conv_kernel: int = 3
    activation: str | Callable = "lrelu"
    bias: bool = True
    up: int = 1
    down: int = 1
    clamp: float | None = None
    design: bandlimit.Design | None = bandlimit.DESIGN

    @nn.compact
    def __call__(
        self, x: Float[Array, "*N H W I"], gain: float = 1.0
    ) -> Float[Array, "*N H2 W2 O"]:
        if min(self.up, self.down) > 1:
            raise ValueError(f"up={self.up}, down={self.down}: one of them must be 1")
        shape = (self.conv_kernel, self.conv_kernel, x.shape[-1], self.features)
        weight = self.param("weight", nn.initializers.normal(1.0), shape)
        y = conv_resample.conv_resample(
            x,
            weight / math.sqrt(math.prod(shape[:3])),
            f=self._filter(),
            up=self.up,
            down=self.down,
            pad=self.conv_kernel // 2,
            flip_weight=self.up > 1,
        )
        bias = None
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
        function = self.activation
        if not callable(function):
            function = conv_layer.activation(function, gain, self.clamp)
        if self.design is None or self.activation == "linear":
            return function(y if bias is None else conv_layer.add(y, bias))
        return bandlimit.activate(y, function, bias=bias, design=self.design)

    def _filter(self) -> np.ndarray | None:
        if self.design is not None:
            return bandlimit.make_filter(self.design, max(self.up, self.down))
        return np.full(self.up, 1 / self.up) if self.up > 1 else None
