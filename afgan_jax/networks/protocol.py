"""The interface of synthesis networks.

Shapes: N batch, L = num_ws, (H, W) = size, C = img_channels.
"""

from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Array, Float

from afgan_jax.image_size import Size


@runtime_checkable
class Layer(Protocol):
    """Frozen data that describes one convolution and what follows it.

    `name` is the path of its variables in the network. Sizes are (height, width) of
    maps, margins included; `rate` is the output's sampling rate, in pixels of the
    canvas's shorter side.
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
    columns: ClassVar[dict[str, str]]  # {name in a row: path of an attribute}
    heading: str  # of a table for people
    line: str  # its format of a row


@runtime_checkable
class SynthesisNetwork(Protocol):
    """A Flax module that makes images of intermediate latents.

    layers: in the order of their ws. has_bands: whether they are plan.LayerSpec, with
    bands and low-pass filters. can_move: whether a call takes a `transform`. input_ws:
    how many of the first ws the input uses. training_options: arguments of a call in
    training, such as noise drawn in every call. rgb_bias: endings of the paths of
    biases that do not change path lengths.
    """

    layers: tuple[Layer, ...]
    size: Size  # of an image
    unit: int  # pixels of its shorter side, in which lengths are measured
    img_channels: int
    num_ws: int
    input_ws: int
    conv_clamp: float | None
    output_scale: float
    has_bands: bool
    can_move: bool
    training_options: dict[str, Any]
    rgb_bias: tuple[str, ...]

    @property
    def layers_of_ws(self) -> tuple[tuple[str, ...], ...]:
        """Names of the layers that each row of ws goes to; of `input_ws`, "input"."""

    def rows(self) -> list[dict]:
        """The layers for JSON, each with "name", "rate", "size" and "dtype"."""

    def describe(self) -> str:
        """A table: a heading, then a line for each layer."""

    def __call__(
        self,
        ws: Float[Array, "N L w_dim"],
        transform: Array | None = None,
        update_emas: bool = False,
        noise: str = "const",
    ) -> Float[Array, "N H W C"]:
        """Images in about [-1, 1].

        `transform`: see FourierInput. `update_emas`, with mutable=["buffers"], updates
        running averages. `noise`: see modulation.add_noise. Raises ValueError for a
        `transform` if not can_move.
        """
