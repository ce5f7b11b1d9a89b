"""The schedule of the fused kernel: which rows and blocks it computes when (NumPy).

A fine row is a row of the grid on which the nonlinearity acts. Resamplings `ups` lead
from inputs to fine rows, `down` from fine rows to outputs: vertically they are weighted
sums of rows, horizontally banded matrices. Radial filters are sums of separable ones,
the `terms`. Fine rows are numbered from 0; those outside the grid are zero.
"""

import dataclasses
import math

import numpy as np

from afgan_jax.signal.backends import banded

SUBLANES = 16  # rows of a bfloat16 register: blocks begin and end at multiples
DEPTH = 128  # samples that a matrix unit sums at once (v6e: 256)


@dataclasses.dataclass(frozen=True)
class Band:
    """A banded matrix [terms W_out W_in] as consecutive dense blocks.

    blocks[i] [terms O_i K_i] maps K_i inputs from first[i] on to the next O_i outputs.
    """

    size_in: int
    first: tuple[int, ...]
    blocks: tuple[np.ndarray, ...]

    @property
    def size_out(self) -> int:
        return sum(block.shape[1] for block in self.blocks)


@dataclasses.dataclass(frozen=True)
class Rows:
    """The order of fine rows: groups of them go through four stages.

    Round g sums input rows for group g, multiplies group g - 1 by the bands of `ups`
    and group g - 2 by that of `down`, and sums the outputs that group g - 3 completes.
    The first rounds have nothing to sum and write to output 0, which is overwritten.
    """

    taps: int
    step: int  # fine rows from one output to the next
    group: int  # fine rows of a group, a multiple of step
    outputs: int
    lo: int  # output 0 begins with the fine row -lo
    fine: int  # fine rows in all

    @property
    def each(self) -> int:
        """Outputs in a round."""
        return self.group // self.step

    @property
    def span(self) -> int:
        """Fine rows that the outputs depend on."""
        return (self.outputs - 1) * self.step + self.taps

    @property
    def rounds(self) -> int:
        return 3 + -(-self.span // self.group)

    @property
    def first(self) -> int:
        """The first fine row of group 0: the last group ends with the span."""
        return self.span - (self.rounds - 3) * self.group - self.lo

    @property
    def kept(self) -> int:
        """Fine rows that are kept; slots are their numbers modulo this."""
        return self.group + self.taps - self.step

    @property
    def is_padded(self) -> bool:
        """Whether outputs depend on rows outside the grid."""
        return self.lo > 0 or self.span - self.lo > self.fine

    def outputs_of(self, g) -> list:
        """The outputs that round g completes; negative if there is none."""
        first = (g - self.rounds) * self.each + self.outputs
        return [first + j for j in range(self.each)]

    def rows_of(self, g) -> list:
        """The fine rows of group g."""
        return [self.first + g * self.group + j for j in range(self.group)]


@dataclasses.dataclass(frozen=True)
class RowSums:
    """What fine rows are sums of, along height only.

    Group g of fine rows depends on `count` rows of the input from `first` + g `stride`
    on. Term t of fine row j of the group is the sum of weight * row over weights[t][j]
    = ((row, weight), ...).
    """

    height: int
    first: int
    stride: int
    count: int
    weights: tuple[tuple[tuple[tuple[int, float], ...], ...], ...]


@dataclasses.dataclass(frozen=True)
class Up(RowSums):
    """The resampling of one input to fine rows: the band times the terms, summed."""

    band: Band


@dataclasses.dataclass(frozen=True)
class Schedule:
    """An output is the sum over t and k of taps[t][k] * band `down` * fine row k."""

    rows: Rows
    ups: tuple[Up, ...]
    down: Band
    taps: tuple[tuple[float, ...], ...]

    @property
    def bands(self) -> list[Band]:
        return [*(up.band for up in self.ups), self.down]


def make_schedule(ups, down, tolerance: float) -> Schedule:
    """The schedule of resamplings `ups` to one fine grid and `down` from it.

    Terms of a radial filter below `tolerance` times the largest are left out.
    """
    rows = make_rows(ups, down)
    terms = banded.separable_terms(down, tolerance)
    return Schedule(
        rows,
        tuple(_make_up(spec, rows, tolerance) for spec in ups),
        make_band([banded.matrix(down, 1, x) for _, x in terms]),
        tuple(tuple(map(float, y)) for y, _ in terms),
    )


def make_rows(ups, down) -> Rows:
    """The order of fine rows for all outputs of `down`."""
    step = down.down[0]
    return Rows(
        taps=down.taps_shape[0],
        step=step,
        group=math.lcm(step, *(spec.up[0] for spec in ups)),
        outputs=down.size_out[0],
        lo=down.lo[0],
        fine=down.size_in[0],
    )


def _make_up(spec, rows: Rows, tolerance: float) -> Up:
    assert spec.down == (1, 1)
    terms = banded.separable_terms(spec, tolerance)
    band = make_band([banded.matrix(spec, 1, x) for _, x in terms])
    return Up(**vars(make_row_sums(spec, rows, [y for y, _ in terms])), band=band)


def make_row_sums(spec, rows: Rows, terms) -> RowSums:
    """How `spec` makes fine rows; terms: vertical taps of its separable filters."""
    up, lo, taps = spec.up[0], spec.lo[0], spec.taps_shape[0]
    numbers = rows.rows_of(0)
    # Tap k of fine row r reads row (r + k - lo) / up of the input.
    first = -(-(numbers[0] - lo) // up)
    last = (numbers[-1] + taps - 1 - lo) // up

    def weights(y, r):
        pairs = ((m - first, m * up - r + lo) for m in range(first, last + 1))
        return tuple((i, float(y[k])) for i, k in pairs if 0 <= k < taps)

    return RowSums(
        height=spec.size_in[0],
        first=first,
        stride=rows.group // up,
        count=last - first + 1,
        weights=tuple(tuple(weights(y, r) for r in numbers) for y in terms),
    )


def make_band(matrices: list[np.ndarray]) -> Band:
    """Blocks of at most DEPTH inputs, where possible, that begin and end at registers.

    Sizes are rounded up to whole registers: the extra outputs are zero.
    """
    whole = np.stack(matrices)
    extra = [(0, -n % SUBLANES) for n in whole.shape[1:]]
    whole = np.pad(whole, ((0, 0), *extra))
    count, size = whole.shape[1:]
    used = np.abs(whole).max(axis=0) > 0
    low = np.where(used.any(axis=1), used.argmax(axis=1), size)
    high = np.where(used.any(axis=1), size - used[:, ::-1].argmax(axis=1), 0)
    first, blocks, row = [], [], 0
    while row < count:
        best = row + SUBLANES
        for end in range(row + SUBLANES, count + 1, SUBLANES):
            start = low[row:end].min() // SUBLANES * SUBLANES
            if high[row:end].max() - start <= DEPTH or size <= DEPTH:
                best = end
        start = min(low[row:best].min() // SUBLANES * SUBLANES, max(0, size - DEPTH))
        stop = max(start + DEPTH, -(-high[row:best].max() // SUBLANES) * SUBLANES)
        first.append(int(start))
        blocks.append(whole[:, row:best, start : min(stop, size)])
        row = best
    return Band(size, tuple(first), tuple(blocks))
