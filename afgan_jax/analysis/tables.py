"""Numbers as lines of text."""

from collections.abc import Sequence
from numbers import Real

import numpy as np

Cell = str | Real | None


def aligned(rows: Sequence[Sequence[Cell]], digits: int = 2) -> str:
    """A line for each row: the first column aligned left, the others right.

    Numbers have so many digits after the point; None is shown as a dash.
    """
    texts = [[_text(cell, digits) for cell in row] for row in rows]
    first, *others = (max(map(len, column)) for column in zip(*texts))
    lines = []
    for name, *cells in texts:
        aligned = (f"{cell:>{width}}" for cell, width in zip(cells, others))
        lines.append("  ".join([f"{name:{first}}", *aligned]).rstrip())
    return "\n".join(lines)


def decimals(values: Real | np.ndarray) -> str:
    """A number, or numbers of channels, to three decimals."""
    return " ".join(f"{v:z.3f}".removesuffix(".000") for v in np.atleast_1d(values))


def _text(cell: Cell, digits: int) -> str:
    if cell is None:
        return "-"
    return cell if isinstance(cell, str) else f"{cell:z.{digits}f}"
