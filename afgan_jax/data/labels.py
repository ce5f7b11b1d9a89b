"""Labels of images, from dataset.json, a CSV or folders.

A label is a class (an int from 0) or a list of numbers. `dataset.json` holds
{"labels": [[file name, label], ...]} or {"labels": null}, and may hold "class_names", a
name for each class. A CSV has the file name in the first column and, in the others, a
class by number or name, or the numbers of a vector. Named classes are numbered in
sorted order.
"""

import csv
import dataclasses
import json
from collections.abc import Sequence

import numpy as np
from etils import epath
from jaxtyping import Float

from afgan_jax import errors
from afgan_jax.data import label_files
from afgan_jax.data.files import Files

MAX_CLASSES = 100_000  # each label becomes a vector of so many numbers
LISTED = 20  # entries of labels that `describe` lists


@dataclasses.dataclass(frozen=True)
class Table:
    """Labels by the names of images; `where` names their file in errors."""

    where: str
    rows: dict
    class_names: tuple[str, ...] | None = None

    def of(self, images: Sequence[str], *, fix: str) -> list:
        """The label of each image; ValueError if some are missing."""
        missing = [name for name in images if name not in self.rows]
        if missing:
            raise ValueError(
                f"{self.where} lacks the labels of {len(missing)} of {len(images)} "
                f"images, first {missing[0]}: {fix}"
            )
        return [self.rows[name] for name in images]


def read_table(files: Files) -> Table | None:
    """The labels in the dataset.json of `files`; None if there are none."""
    found = label_files.find(files)
    if found is None:
        return None
    where = f"{files.path}: {found}"
    below = found.removesuffix(label_files.TABLE)
    try:
        content = json.loads(files.read(found))
        rows = content["labels"]
        names = content.get("class_names")
        names = None if names is None else tuple(map(str, names))
        if below and rows is not None:
            rows = [(below + name.removeprefix("./"), label) for name, label in rows]
        return None if rows is None else Table(where, dict(rows), names)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where} is malformed ({type(error).__name__}: {error}): it must hold "
            '{"labels": [[file name, label], ...]} or {"labels": null}'
        ) from error


def read_csv(path: epath.Path, images: Sequence[str]) -> Table:
    """The labels in a CSV; a first row that names none of `images` is a header."""
    try:
        rows = [row for row in csv.reader(path.read_text().splitlines()) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise errors.SettingError("labels", str(path), f"is no CSV: {error}") from error
    if rows and rows[0][0] not in set(images):
        rows = rows[1:]
    widths = {len(row) for row in rows}
    if len(widths) != 1 or widths == {1}:
        why = "must have a file name and equally many labels in every row"
        raise errors.SettingError("labels", str(path), why)
    names = [row[0] for row in rows]
    values, class_names = _parse([row[1:] for row in rows], path)
    return Table(str(path), dict(zip(names, values, strict=True)), class_names)


def _parse(cells: list[list[str]], path: epath.Path) -> tuple[list, tuple | None]:
    single = len(cells[0]) == 1
    if single and all(cell.isdecimal() for (cell,) in cells):
        return [int(cell) for (cell,) in cells], None
    try:
        return [[float(cell) for cell in row] for row in cells], None
    except ValueError as error:
        if not single:
            why = f"must have numbers in vectors: {error}"
            raise errors.SettingError("labels", str(path), why) from error
    return _number([cell for (cell,) in cells])


def from_folders(
    images: Sequence[str], where: str, among: Sequence[str] | None = None
) -> Table:
    """A class for each top folder, or for each below a folder around all `among`."""
    folders = label_files.class_folders(images, among)
    values, class_names = _number(list(folders.values()))
    return Table(where, dict(zip(folders, values, strict=True)), class_names)


def _number(names: list[str]) -> tuple[list[int], tuple[str, ...]]:
    class_names = tuple(sorted(set(names)))
    numbers = {name: number for number, name in enumerate(class_names)}
    return [numbers[name] for name in names], class_names


def vectors(values: Sequence, where: str) -> Float[np.ndarray, "N c_dim"]:
    """One row per label: one-hot for classes, as written for vectors."""
    if all(type(value) is int and value >= 0 for value in values):
        if max(values) >= MAX_CLASSES:
            raise ValueError(
                f"{where} has class {max(values)}: number the classes from 0, at most"
                f" {MAX_CLASSES} of them"
            )
        return np.eye(max(values) + 1, dtype=np.float32)[values]
    try:
        rows = np.array(values, np.float32)
    except (TypeError, ValueError):
        rows = np.zeros([0])
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(
            f"{where} is malformed: labels must be all classes (int, 0 or more) "
            "or all lists of equally many finite numbers"
        )
    return rows


def describe(
    rows: Float[np.ndarray, "N c_dim"], class_names: Sequence[str] | None = None
) -> str:
    """One line on the labels: the images of each class, or the range of each number."""
    dim = rows.shape[1]
    names = class_names or ()
    titles = [f"{i} ({names[i]})" if i < len(names) else str(i) for i in range(dim)]
    if np.isin(rows, (0, 1)).all():
        single = (rows.sum(axis=1) == 1).all()
        kind = f"{dim} classes" if single else f"any of {dim} classes"
        facts = [f"{n:z.0f}" for n in rows.sum(axis=0)]
        kind += "; images of each"
    else:
        kind = f"vectors of {dim}; mean of each number (least to largest)"
        columns = zip(rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0))
        facts = ["{:z.3g} ({:z.3g} to {:z.3g})".format(*column) for column in columns]
    listed = [f"{t}: {f}" for t, f in zip(titles, facts, strict=True)]
    more = f", and {dim - LISTED} more" if dim > LISTED else ""
    return f"labels: {kind}: {', '.join(listed[:LISTED])}{more}"


def unused(files: Files, images: Sequence[str]) -> str | None:
    """A warning that the labels of an archive are not used; None if it has none."""
    try:
        table = read_table(files)
        if table is None:
            return None
        dim = vectors(table.of(images, fix="labels need all"), table.where).shape[1]
    except ValueError as error:
        return f"WARNING: labels are not used, and could not be: {error}"
    return (
        f"WARNING: {files.path} has labels (c_dim={dim}), and they are NOT used: to"
        " generate by label, set data.use_labels=True"
        f" generator.mapping.c_dim={dim} discriminator.c_dim={dim}"
    )
