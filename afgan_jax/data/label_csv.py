"""Labels from a CSV, as Excel, LibreOffice, Google Sheets and pandas write them.

A row has the file name of an image and either a class, by number or name, or the
numbers of a vector. Named classes are numbered in sorted order. Text is UTF-8, or
UTF-16 with its mark. Commas, semicolons, tabs, bars or spaces separate cells: those by
which most rows have the name of an image in one column. Columns of different whole
numbers before it are an index and left out. One or two first rows that name no image
are a heading.
"""

import codecs
import csv
import io
import math
from collections.abc import Sequence

from etils import epath

from afgan_jax import errors
from afgan_jax.data import labels

SEPARATORS = ",;\t| "
HEADINGS = 2
INDICES = 2  # columns before the file names
Rows = list[tuple[int, list[str]]]  # (number of the line, cells)


def read(path: epath.Path, images: Sequence[str]) -> labels.Table:
    """The labels in the CSV at `path` of some of `images`.

    Raises ValueError for what is no such CSV, and for images with two labels.
    """
    known = {labels.canonical(name) for name in images}
    try:
        text = _text(path)
        split = [_split(text, separator, known) for separator in SEPARATORS]
    except (OSError, UnicodeError, csv.Error) as error:
        why = f"is no CSV in UTF-8 or UTF-16: {error}"
        raise errors.SettingError("labels", str(path), why) from error
    matches, rows, column = max(split, key=lambda found: found[0])
    if rows and not matches:
        why = f"has names such as {rows[0][1][0]!r}, and none of an image of the set:"
        why += f" write them as {images[0]!r} is"
        raise errors.SettingError("labels", str(path), why)
    for _, cells in rows[:HEADINGS]:
        if not known.isdisjoint(map(labels.canonical, cells[: column + 1])):
            break
        rows = rows[1:]
    _check_columns(rows, column, path)
    names = [cells[column] for _, cells in rows]
    values = _values([(line, cells[column + 1 :]) for line, cells in rows], path)
    places = [f"line {line}" for line, _ in rows]
    entries = zip(names, values, strict=True)
    table = labels.Table.make(str(path), entries, places=places)
    if not isinstance(values[0], str):
        return table
    numbers, class_names = labels.number(list(table.rows.values()))
    return labels.Table(str(path), dict(zip(table.rows, numbers)), class_names)


def _text(path: epath.Path) -> str:
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def _split(text: str, separator: str, known: set[str]) -> tuple[int, Rows, int]:
    """(how many rows name an image, the rows, the column of names)."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True
    )
    rows, counts = [], [0] * (INDICES + 1)
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.append((reader.line_num, cells))
        for column, cell in enumerate(cells[: INDICES + 1]):
            counts[column] += labels.canonical(cell) in known
    if rows and rows[0][1][0].startswith("sep="):  # names the separator to Excel
        rows = rows[1:]
    matches = max(counts)
    return matches, rows, counts.index(matches)


def _check_columns(rows: Rows, column: int, path: epath.Path) -> None:
    """Raises SettingError unless file names, in `column`, come before labels."""
    for line, cells in rows or [(1, [])]:
        if not column + 1 < len(cells) == len(rows[0][1]):
            why = "must have a file name and equally many labels in every row"
            why += f", unlike line {line}"
            raise errors.SettingError("labels", str(path), why)
    for before in range(column):
        cells = [cells[before] for _, cells in rows]
        if len(set(cells)) < len(cells) or not all(map(str.isdecimal, cells)):
            why = "has cells before file names that are no index: remove them"
            raise errors.SettingError("labels", str(path), why)


def _values(rows: Rows, path: epath.Path) -> list:
    """Classes, vectors, or else names of classes."""
    single = len(rows[0][1]) == 1
    try:
        values = [[_number(cell) for cell in cells] for _, cells in rows]
    except ValueError as error:
        if single:
            return [cell for _, (cell,) in rows]
        why = f"must have numbers in vectors: {error}"
        raise errors.SettingError("labels", str(path), why) from error
    for (line, _), numbers in zip(rows, values):
        if not all(map(math.isfinite, numbers)):
            why = f"lacks a label in line {line}"
            raise errors.SettingError("labels", str(path), why)
    if single and all(number.is_integer() for (number,) in values):
        if min(values) < [0]:
            why = f"has class {min(values)[0]:z.0f}: number the classes from 0"
            raise errors.SettingError("labels", str(path), why)
        return [int(number) for (number,) in values]
    return values


def _number(cell: str) -> float:
    """Also with a decimal comma, which is left where commas do not separate."""
    if "_" in cell:  # digits may be grouped by it in Python only
        raise ValueError(f"{cell!r} is no number")
    return float(cell.replace(",", "."))
