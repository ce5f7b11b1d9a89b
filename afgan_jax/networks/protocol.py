"""What a synthesis network offers to whatever uses one.

Shapes: N batch, L = num_ws, R resolution, C = img_channels.
"""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float

Size = tuple[int, int]


@runtime_checkable
class Layer(Protocol):
    """One convolution with what follows it: frozen data that its module is made from.

    `name` is the path of its variables in the network. Sizes are (height, width) of
    maps, margins included; `rate` is the sampling rate of what it gives, in pixels per
    canvas width.
    """

    name: str
    in_channels: int
    out_channels: int
    in_size: Size
    out_size: Size
    rate: float
    up: int
    up_filter: Any  # None or taps, one-dimensional
    conv_kernel: int
    noise: bool
    dtype: str  # of its maps
    is_rgb: bool  # makes an image


@runtime_checkable
class SynthesisNetwork(Protocol):
    """A Flax module that makes images of intermediate latents.

    layers: in the order of their ws. has_bands: whether they are plan.LayerSpec, which
    state bands and low-pass filters. can_move: whether a call takes a `transform`.
    input_ws: how many of the first ws are the input's. training_options: arguments of
    a call in training. rgb_bias: how the paths end of biases that no path length
    depends on.
    """

    layers: tuple[Layer, ...]
    resolution: int
    img_channels: int
    num_ws: int
    input_ws: int
    conv_clamp: float | None
    output_scale: float
    has_bands: bool
    can_move: bool
    training_options: dict[str, Any]
    rgb_bias: tuple[str, ...]

    def rows(self) -> list[dict]:
        """The layers as numbers and names, with "name", "rate", "size" and "dtype"."""

    def describe(self) -> str:
        """A table of the layers, a line each under a heading."""

    def __call__(
        self,
        ws: Float[Array, "N L w_dim"],
        transform: Array | None = None,
        update_emas: bool = False,
        noise: str = "const",
    ) -> Float[Array, "N R R C"]:
        """Images in about [-1, 1].

        `transform`: see FourierInput. With `update_emas`, and mutable=["buffers"],
        running averages follow what layers take. `noise`: see modulation.add_noise.
        Raises ValueError for a `transform` of a network that cannot move.
        """
