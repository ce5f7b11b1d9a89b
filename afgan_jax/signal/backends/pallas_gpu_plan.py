"""Geometry of the Pallas kernel for NVIDIA GPUs (pallas_gpu.py), as frozen data.

The output is divided into chunks of rows and strips of columns. A program computes one
of each, from the fine grid's columns that the strip depends on: two tiles of TILE at
most. Strips are of one size and overlap if need be, so that all are full.
"""

import dataclasses

import numpy as np

from afgan_jax.signal.backends import banded, pallas_schedule
from afgan_jax.signal.operators import Resampling

TILE = 64  # rows of a matrix that a tensor core multiplies at once
DEPTH = 32  # columns of a matrix begin and end at multiples of this
CHANNELS = 32  # of a program
WIDTH = 2 * DEPTH  # columns of an input that a program reads
AHEAD = 1  # rounds whose rows of the input are fetched early
SHARED_BYTES = 226 * 2**10  # of fast memory that a program can have
CORE_BYTES = 227 * 2**10  # of fast memory that a core has for all its programs
PROGRAMS = 2  # that a core can hold, by their registers
GROUP = 4  # fine rows of a round at most


@dataclasses.dataclass(frozen=True)
class Input:
    """An input and its resampling to the fine grid; terms: see make_row_sums.

    Strip s reads WIDTH columns from first[s] on; matrices [strips terms*fine WIDTH] map
    them to fine columns. Of tile i of fine columns only inputs depths[i] = (start,
    stop) are not zero for all strips.
    """

    spec: Resampling
    terms: tuple[np.ndarray, ...]
    rows: pallas_schedule.RowSums
    first: tuple[int, ...]
    matrices: np.ndarray
    depths: tuple[tuple[int, int], ...]

    def with_rows(self, rows: pallas_schedule.Rows) -> "Input":
        """For another chunk."""
        sums = pallas_schedule.make_row_sums(self.spec, rows, self.terms)
        return dataclasses.replace(self, rows=sums)

    @property
    def slots(self) -> int:
        """Rows that a program holds; remainders by powers of 2 are cheap."""
        least = self.rows.count + AHEAD * self.rows.stride
        power = 1 << (least - 1).bit_length()
        return power if power - least <= 1 else least


@dataclasses.dataclass(frozen=True)
class Plan:
    """`rows` are those of a chunk. Strip s writes `columns` columns from starts[s] on.

    down: [strips terms*TILE fine], taps: those along height of each term. is_padded:
    whether outputs depend on rows outside the fine grid.
    """

    rows: pallas_schedule.Rows
    chunks: int
    columns: int
    starts: tuple[int, ...]
    inputs: tuple[Input, ...]
    down: np.ndarray
    taps: tuple[tuple[float, ...], ...]
    is_padded: bool

    @property
    def fine(self) -> int:
        """Columns of the fine grid, a multiple of TILE."""
        return self.down.shape[-1]

    @property
    def tiles(self) -> int:
        return self.fine // TILE

    @property
    def rounds(self) -> int:
        """Groups of fine rows that a chunk depends on."""
        return self.rows.rounds - 3

    @property
    def pending(self) -> int:
        """Outputs that a group of fine rows is a part of; `rows.each` it completes."""
        return self.rows.each + (self.rows.taps - 1) // self.rows.step

    @property
    def batch(self) -> int:
        """Fine rows of a group that are multiplied at once."""
        return 2 - self.rows.group % 2

    @property
    def shared_bytes(self) -> int:
        """Of fast memory, for samples of 2 bytes."""
        group = self.rows.group * CHANNELS
        samples = self.down[0].size + self.fine * self.batch * CHANNELS
        samples += self.rows.each * TILE * CHANNELS
        for i in self.inputs:
            samples += i.matrices[0].size + i.slots * WIDTH * CHANNELS
            samples += len(i.rows.weights) * WIDTH * group
        return 2 * samples + 2048  # barriers, and what aligns arrays


def make_plan(
    ups: list[Resampling],
    down: Resampling,
    tolerance: float,
    images: int = 1,
    cores: int = 1,
) -> Plan:
    """How `down` of the fine grid that all of `ups` resample to is computed.

    Terms of a radial filter below `tolerance` times the largest are left out. images:
    of one block of channels, for the number of chunks, as the cores of the card.
    """
    columns, starts = _strips(ups, down)
    first_fine = [start * down.down[1] - down.lo[1] for start in starts]
    used = (columns - 1) * down.down[1] + down.taps_shape[1]
    fine = -(-used // TILE) * TILE
    terms = banded.separable_terms(down, tolerance)
    windows = [(start, columns, TILE) for start in starts]
    matrices = _merged(_windows(down, terms, windows, first_fine, fine))
    rows = pallas_schedule.make_rows(ups, down)
    plan = Plan(
        rows,
        1,
        columns,
        starts,
        tuple(_make_input(u, rows, first_fine, used, fine, tolerance) for u in ups),
        matrices,
        tuple(tuple(map(float, y)) for y, _ in terms),
        rows.is_padded,
    )
    return _divided(plan, images * len(starts), cores)


def _divided(plan: Plan, strips: int, cores: int) -> Plan:
    """In as many chunks of rows as take the fewest rounds on so many cores."""
    at_once = cores * max(1, min(PROGRAMS, CORE_BYTES // (plan.shared_bytes + 1024)))
    best = None
    for count in range(1, 33):
        size = -(-plan.rows.outputs // (count * plan.rows.each)) * plan.rows.each
        rows = dataclasses.replace(plan.rows, outputs=size)
        chunks = -(-plan.rows.outputs // size)
        cost = -(-strips * chunks // at_once) * (rows.rounds - 3)
        if best is None or cost < best[0]:
            best = cost, rows, chunks
    _, rows, chunks = best
    inputs = tuple(i.with_rows(rows) for i in plan.inputs)
    return dataclasses.replace(plan, rows=rows, chunks=chunks, inputs=inputs)


def _make_input(spec, rows, first_fine, used: int, fine: int, tolerance) -> Input:
    terms = banded.separable_terms(spec, tolerance)
    first = tuple(_first_input(spec, f) for f in first_fine)
    windows = [(f, used, fine) for f in first_fine]
    matrices = _windows(spec, terms, windows, first, WIDTH)
    depths = []
    for tile in np.split(np.abs(matrices).max(axis=(0, 1)), fine // TILE):
        inside = np.flatnonzero(tile.max(axis=0))
        start, last = (inside[0], inside[-1]) if inside.size else (0, 0)
        depths.append((int(start) // DEPTH * DEPTH, -(-int(last + 1) // DEPTH) * DEPTH))
    vertical = tuple(y for y, _ in terms)
    sums = pallas_schedule.make_row_sums(spec, rows, vertical)
    return Input(spec, vertical, sums, first, _merged(matrices), tuple(depths))


def _merged(matrices: np.ndarray) -> np.ndarray:
    """[strips terms*rows columns]: copies have few dimensions."""
    strips, terms, rows, columns = matrices.shape
    return matrices.reshape(strips, terms * rows, columns)


def _windows(spec, terms, windows, first_in, size_in: int) -> np.ndarray:
    """[windows terms size_out size_in] of a resampling along width.

    windows: (first output, outputs, size_out) of each; more outputs are zero.
    """
    found = np.zeros((len(windows), len(terms), windows[0][2], size_in))
    for t, (_, taps) in enumerate(terms):
        whole = banded.matrix(spec, 1, taps)
        for s, (first, count, _) in enumerate(windows):
            a, b = max(first, 0), min(first + count, whole.shape[0])
            c, d = max(first_in[s], 0), min(first_in[s] + size_in, whole.shape[1])
            if a < b and c < d:
                inside = found[s, t, a - first : b - first]
                inside[:, c - first_in[s] : d - first_in[s]] = whole[a:b, c:d]
    return found


def _strips(ups, down) -> tuple[int, tuple[int, ...]]:
    """(columns of each, where they start): as few as fit, of one even size."""
    width = down.size_out[1]
    most = max(n for n in range(1, TILE + 1) if _fits(ups, down, n))
    count = -(-width // most)
    columns = -(-width // count)
    columns += columns % 2 and columns < most
    columns = min(columns, width)
    return columns, tuple(min(s * columns, width - columns) for s in range(count))


def _fits(ups, down, columns: int) -> bool:
    used = (columns - 1) * down.down[1] + down.taps_shape[1]
    reach = [(used + spec.taps_shape[1] - 2) // spec.up[1] + 1 for spec in ups]
    return used <= 2 * TILE and max(reach) <= WIDTH or columns == 1


def _first_input(spec, fine: int) -> int:
    return -(-(fine - spec.lo[1]) // spec.up[1])


def supported(ups: list[Resampling], down: Resampling, tolerance: float) -> Plan | None:
    """The plan, None if a core cannot hold what a program needs."""
    if pallas_schedule.make_rows(ups, down).group > GROUP:
        return None
    if down.size_out[1] > 1 and not _fits(ups, down, 2):
        return None
    plan = make_plan(ups, down, tolerance)
    return plan if plan.shared_bytes <= SHARED_BYTES else None
