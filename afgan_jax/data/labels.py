"""Labels of images, from dataset.json, a CSV or folders.

A label is a class (an int from 0) or a list of numbers. `dataset.json` holds
{"labels": [[file name, label], ...]} or {"labels": null}, and may hold "class_names", a
name for each class. Classes stay numbers until a batch is made of them: a table of
one-hot vectors would fill the memory.
"""

import collections
import dataclasses
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, Int32

from afgan_jax import json_files
from afgan_jax.data import label_files
from afgan_jax.data.files import Files

MAX_CLASSES = 100_000  # each label of a batch becomes a vector of so many numbers
LISTED = 20  # entries of labels that `describe` lists


class Labels(NamedTuple):
    """The labels of N images: classes 0 .. dim - 1, or vectors of dim numbers.

    class_names: dim names, or None.
    """

    values: Int32[np.ndarray, "N"] | Float32[np.ndarray, "N dim"]
    dim: int
    class_names: tuple[str, ...] | None = None

    def rows(self, items: Any) -> Float[np.ndarray, "*items dim"]:
        """The vectors of some images, one-hot for classes, to make a batch of."""
        values = self.values[items]
        if self.values.ndim == 2:
            return values
        rows = np.zeros((*np.shape(values), self.dim), np.float32)
        np.put_along_axis(rows, np.asarray(values)[..., None], 1, axis=-1)
        return rows

    def of(self, items: Sequence[int] | Int[np.ndarray, "M"]) -> "Labels":
        """The labels of some images."""
        return self._replace(values=self.values[items])

    @property
    def empty_classes(self) -> Int[np.ndarray, "K"]:
        """The classes that no image has; of vectors none."""
        counts = _counts(self) if self.values.ndim == 1 else np.ones(self.dim)
        return np.flatnonzero(counts == 0)


@dataclasses.dataclass(frozen=True)
class Table:
    """Labels by the names of images; `where` names their file in errors.

    rows: by `canonical` name.
    """

    where: str
    rows: dict
    class_names: tuple[str, ...] | None = None

    @classmethod
    def make(
        cls,
        where: str,
        entries: Iterable[tuple[str, Any]],
        class_names: tuple[str, ...] | None = None,
        *,
        places: Sequence[str] | None = None,
    ) -> "Table":
        """The table of (name, label) entries.

        places: what to call each entry in errors. Raises ValueError if an image has two
        labels.
        """
        rows, first = {}, {}
        for index, (name, label) in enumerate(entries):
            key = canonical(name)
            before = first.setdefault(key, index)
            if rows.setdefault(key, label) != label:
                here, there = (
                    f"entry {i}" if places is None else places[i]
                    for i in (before, index)
                )
                raise ValueError(
                    f"{where} has two labels of {name!r:.100}: {rows[key]!r:.50} in"
                    f" {here}, {label!r:.50} in {there}: remove one"
                )
        return cls(where, rows, class_names)

    def of(self, images: Sequence[str], *, fix: str) -> Labels:
        """The labels of these images; ValueError if some are missing or malformed."""
        keys = [canonical(name) for name in images]
        missing = [n for n, key in zip(images, keys) if key not in self.rows]
        if missing:
            other = ""
            if self.rows and len(missing) == len(images):
                other = f" (it has {next(iter(self.rows))})"
            raise ValueError(
                f"{self.where} lacks the labels of {len(missing)} of {len(images)} "
                f"images, first {missing[0]}{other}: {fix}"
            )
        values = [self.rows[key] for key in keys]
        return parse(values, self.where, self.class_names)


def canonical(name: str) -> str:
    """The name that tables of any system and program have for one image."""
    name = unicodedata.normalize("NFC", name.strip().replace("\\", "/"))
    return name.removeprefix("./")


def read_table(files: Files) -> Table | None:
    """The labels in the dataset.json of `files`; None if there are none."""
    found = label_files.find(files)
    if found is None:
        return None
    where = f"{files.path}: {found}"
    below = found.removesuffix(label_files.TABLE)
    content = json_files.parse(files.read(found), where)
    try:
        rows = content["labels"]
        names = content.get("class_names")
        if not isinstance(names, list | None):
            raise TypeError("class_names must be a list")
        names = None if names is None else tuple(map(str, names))
        if isinstance(rows, dict):
            rows = rows.items()
        if rows is None:
            return None
        entries = [(below + canonical(str(name)), label) for name, label in rows]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where} is malformed ({type(error).__name__}: {error}): it must hold "
            '{"labels": [[file name, label], ...]} or {"labels": null}'
        ) from error
    return Table.make(where, entries, names)


def from_folders(
    images: Sequence[str], where: str, among: Sequence[str] | None = None
) -> Table:
    """A class for each top folder, or for each below a folder around all `among`."""
    folders = label_files.class_folders(images, among)
    values, class_names = number(list(folders.values()))
    return Table.make(where, zip(folders, values, strict=True), class_names)


def number(names: list[str]) -> tuple[list[int], tuple[str, ...]]:
    """Classes by name, in sorted order, and their names."""
    class_names = tuple(sorted(set(names)))
    numbers = {name: number for number, name in enumerate(class_names)}
    return [numbers[name] for name in names], class_names


def parse(
    values: Sequence, where: str, class_names: tuple[str, ...] | None = None
) -> Labels:
    """Labels as they are written: all classes, or all vectors.

    There are as many classes as names, or as the largest number says. Raises ValueError
    for labels of other kinds, and for too few, too many or equal names.
    """
    if values and all(_is_class(value) for value in values):
        least = int(max(values)) + 1
        dim = least if class_names is None else len(class_names)
        if max(least, dim) > MAX_CLASSES:
            raise ValueError(
                f"{where} has class {max(least, dim) - 1}: number the classes from 0,"
                f" at most {MAX_CLASSES} of them"
            )
        found = Labels(np.array(values).astype(np.int32), dim, class_names)
    else:
        found = _vectors(values, where, class_names)
        least = dim = found.values.shape[1]
    names = class_names or ()
    if class_names is not None and not least <= len(names) <= dim:
        raise ValueError(
            f"{where} has {len(names)} class_names for {least} classes: give each class"
            " a name"
        )
    if len(set(names)) < len(names):
        ((twice, _),) = collections.Counter(names).most_common(1)
        raise ValueError(f"{where} has two classes of the name {twice!r}: rename one")
    return found


def _is_class(value: Any) -> bool:
    """Whether it is a whole number from 0, also as 1.0, which pandas writes."""
    return type(value) in (int, float) and value >= 0 and value == value // 1


def _vectors(values: Sequence, where: str, class_names: tuple | None) -> Labels:
    try:
        rows = np.array(values, np.float32)
    except (TypeError, ValueError):
        rows = np.zeros([0])
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(
            f"{where} is malformed: labels must be all classes (int, 0 or more) "
            "or all lists of equally many finite numbers"
        )
    return Labels(rows, rows.shape[1], class_names)


def describe(labels: Labels) -> str:
    """One line on the labels: the images of each class, or the range of each number."""
    dim, names = labels.dim, labels.class_names
    numbers = range(min(dim, LISTED))
    titles = [f"{i} ({names[i]})" if names else str(i) for i in numbers]
    if labels.values.ndim == 1 or np.isin(labels.values, (0, 1)).all():
        counts = _counts(labels)
        single = labels.values.ndim == 1 or (labels.values.sum(axis=1) == 1).all()
        kind = f"{dim} classes" if single else f"any of {dim} classes"
        facts = [f"{n:z.0f}" for n in counts[:LISTED]]
        kind += "; images of each"
    else:
        kind = f"vectors of {dim}; mean of each number (least to largest)"
        rows = labels.values[:, :LISTED]
        columns = zip(rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0))
        facts = ["{:z.3g} ({:z.3g} to {:z.3g})".format(*column) for column in columns]
    listed = ", ".join(f"{t}: {f}" for t, f in zip(titles, facts, strict=True))
    more = f", and {dim - LISTED} more" if dim > LISTED else ""
    empty = len(labels.empty_classes)
    none = f"; {empty} of all have no image" if more and empty else ""
    return f"labels: {kind}: {listed}{more}{none}"


def _counts(labels: Labels) -> np.ndarray:
    """How many images have each class."""
    if labels.values.ndim == 2:
        return labels.values.sum(axis=0)
    return np.bincount(labels.values, minlength=labels.dim)


def unused(files: Files, images: Sequence[str]) -> str | None:
    """A warning that the labels of an archive are not used; None if it has none."""
    try:
        table = read_table(files)
        if table is None:
            return None
        dim = table.of(images, fix="labels need all").dim
    except ValueError as error:
        return f"WARNING: labels are not used, and could not be: {error}"
    return (
        f"WARNING: {files.path} has labels (c_dim={dim}), and they are NOT used: to"
        " generate by label, set data.use_labels=True"
        f" generator.mapping.c_dim={dim} discriminator.c_dim={dim}"
    )
