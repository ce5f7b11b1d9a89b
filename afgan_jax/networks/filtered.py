"""Convolution layers that keep feature maps band-limited, for networks of any kind.

A convolution adds no frequencies. A change of rate and a nonlinearity alias, so both
have low-pass filters (bandlimit).
"""

from collections.abc import Callable

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.networks import conv_layer
from afgan_jax.signal import bandlimit


class FilteredConv(conv_layer.ConvLayer):
    """Equalised convolution, change of rate, nonlinearity: [*N H W I] -> [*N H2 W2 O].

    `activation` is a name of activations.ACTIVATIONS or any elementwise function; named
    ones are multiplied by `gain` and their usual gain and clipped at `clamp`.
    design=None makes an ordinary layer with the same parameters: it repeats pixels
    to go up, skips pixels to go down and does not filter its activation. Raises
    ValueError if both up and down are above 1.
    """

    conv_kernel: int = 3
    activation: str | Callable = "lrelu"
    design: bandlimit.Design | None = bandlimit.DESIGN

    @nn.compact
    def __call__(
        self, x: Float[Array, "*N H W I"], gain: float = 1.0
    ) -> Float[Array, "*N H2 W2 O"]:
        if min(self.up, self.down) > 1:
            raise ValueError(f"up={self.up}, down={self.down}: one of them must be 1")
        y, bias = conv_layer.convolve(self, x, self._filter())
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
