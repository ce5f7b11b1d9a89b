"""Linear operators and the filtered nonlinearity as frozen data of fixed geometry.

Every pair is (vertical, horizontal). `implementation` names the backend that computes
an operator (see `backends.dispatch`); None leaves the choice to the table. Operators
are static arguments of the functions that apply them, so that JAX keeps programs and
derivatives of different implementations apart.
"""

import dataclasses
import math
from collections.abc import Callable

Pair = int | tuple[int, int]
Pads = tuple[tuple[int, int], tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Resampling:
    """A resampling, [N H W C] -> [N H2 W2 C]; see `resample` for the equation.

    `taps` holds the correlation taps, gain included: two tuples of floats (one per
    axis) if `separable`, else the rows of one 2-D filter. `lo` is the padding before.
    """

    separable: bool
    taps: tuple[tuple[float, ...], ...]
    up: tuple[int, int]
    down: tuple[int, int]
    lo: tuple[int, int]
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    implementation: str | None = None

    @property
    def taps_shape(self) -> tuple[int, int]:
        if self.separable:
            return len(self.taps[0]), len(self.taps[1])
        return len(self.taps), len(self.taps[0])

    def transposed(self) -> "Resampling":
        """The adjoint: <R x, y> = <x, R.transposed() y>."""
        rows = tuple(row[::-1] for row in self.taps)
        return dataclasses.replace(
            self,
            taps=rows if self.separable else rows[::-1],
            up=self.down,
            down=self.up,
            lo=tuple(k - 1 - lo for k, lo in zip(self.taps_shape, self.lo)),
            size_in=self.size_out,
            size_out=self.size_in,
        )


@dataclasses.dataclass(frozen=True)
class FilteredActivation:
    """x -> down(activation(up(x))), [N H W C] -> [N H2 W2 C]."""

    activation: Callable
    up: Resampling
    down: Resampling
    implementation: str | None = None

    @property
    def phases(self) -> tuple[int, int]:
        """Least numbers of phases of the fine signal that both factors divide."""
        return tuple(math.lcm(u, d) for u, d in zip(self.up.up, self.down.down))


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution (x, w) -> y; see `convolve` for the equation.

    `weight_implementation` is that of the adjoint in w.
    """

    kernel: tuple[int, int]
    stride: int
    up: int
    lo: tuple[int, int]
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    implementation: str | None = None
    weight_implementation: str | None = None

    @property
    def is_pointwise(self) -> bool:
        """Whether each output pixel depends only on the input pixel at its place."""
        return (
            self.kernel == (1, 1)
            and self.stride == self.up == 1
            and self.lo == (0, 0)
            and self.size_in == self.size_out
        )

    def transposed(self) -> "Convolution":
        """The adjoint in x, with the kernel flipped and its channels swapped."""
        return dataclasses.replace(
            self,
            stride=self.up,
            up=self.stride,
            lo=tuple(k - 1 - lo for k, lo in zip(self.kernel, self.lo)),
            size_in=self.size_out,
            size_out=self.size_in,
        )

    def pads(self) -> Pads:
        """(lo, hi) per axis, hi such that exactly `size_out` outputs result."""
        return tuple(
            (lo, (out - 1) * self.stride + k - lo - ((n - 1) * self.up + 1))
            for n, out, k, lo in zip(self.size_in, self.size_out, self.kernel, self.lo)
        )
