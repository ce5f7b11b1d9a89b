"""What a person looks at: numbers and words of a request, checked."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from afgan_jax import errors
from afgan_jax.edit import rows
from afgan_jax.model import Model

FILTERS = ("on", "off", "both")
KINDS = ("image", "spectrum")
ENCODINGS = ("raw", "jpeg")
FURTHEST = 1e6  # of a lattice of seeds, in seeds


@dataclasses.dataclass(frozen=True)
class View:
    """x, y: a place on the lattice of seeds, seed = x + 100 y, w in between.

    mix: rows of ws that come from the place (mix_x, mix_y). rotate in degrees, tx, ty
    in shorter sides. layer: "" for the image, or that of the feature maps shown;
    channel: -1 for the first three as colours. kind: the map, or its power spectrum in
    dB, with a Kaiser window of this beta. filters: on, off, or both side by side.
    untransform: undoes the motion in the picture, so that what is left of it is error.
    held: ws are those that were given in place of the lattice's, with their psi, cutoff
    and label. equivariance: the dB of this motion are measured. encoding: of the
    picture, as it is sent.
    """

    x: float = 0.0
    y: float = 0.0
    psi: float = 0.7
    cutoff: int | None = None
    label: int | None = None
    mix_x: float = 1.0
    mix_y: float = 0.0
    mix: tuple[int, ...] = ()
    rotate: float = 0.0
    tx: float = 0.0
    ty: float = 0.0
    zoom: float = 1.0
    layer: str = ""
    channel: int = -1
    kind: str = "image"
    beta: float = 8.0
    filters: str = "on"
    untransform: bool = False
    held: bool = False
    equivariance: bool = False
    encoding: str = "raw"


# number: (least, most)
RANGES = {
    "x": (-FURTHEST, FURTHEST),
    "y": (-FURTHEST, FURTHEST),
    "mix_x": (-FURTHEST, FURTHEST),
    "mix_y": (-FURTHEST, FURTHEST),
    "psi": (-4.0, 4.0),
    "rotate": (-3600.0, 3600.0),
    "tx": (-10.0, 10.0),
    "ty": (-10.0, 10.0),
    "zoom": (0.05, 20.0),
    "beta": (0.0, 50.0),
}


def of(given: Mapping[str, Any], model: Model) -> View:
    """The view that a request means, of text or numbers.

    Raises SettingError for what is unknown, out of range or not the model's.
    """
    read, fields = {}, {field.name: field for field in dataclasses.fields(View)}
    for name, value in given.items():
        if name not in fields:
            raise errors.SettingError(
                name, value, f"is unknown: use {', '.join(fields)}"
            )
        read[name] = _read(name, value, model)
    view = View(**read)
    if model.c_dim and view.label is None:
        view = dataclasses.replace(view, label=0)
    moved = view.rotate or view.tx or view.ty or view.zoom != 1
    if moved and not model.can_move:
        raise errors.SettingError("rotate", view.rotate, "cannot be: StyleGAN2 stays")
    if view.filters != "on" and not model.can_move:
        why = "cannot be: StyleGAN2 has no filters to switch off"
        raise errors.SettingError("filters", view.filters, why)
    if view.equivariance and not model.can_move:
        why = "cannot be: StyleGAN2 does not move"
        raise errors.SettingError("equivariance", True, why)
    return view


def layers(model: Model) -> list[str]:
    """The layers whose feature maps can be seen, in order."""
    first = ["input"] if model.can_move else []
    return first + [row["name"] for row in model.layers]


def _read(name: str, value: Any, model: Model) -> Any:
    if name in RANGES:
        return _number(name, value, *RANGES[name])
    if name == "channel":
        return int(_number(name, value, -1, 1e6))
    if name == "cutoff":
        return (
            None if value in ("", None) else int(_number(name, value, 0, model.num_ws))
        )
    if name == "label":
        if value in ("", None):
            return None
        if not model.c_dim:
            raise errors.SettingError(name, value, "is for models with labels")
        return int(_number(name, value, 0, model.c_dim - 1))
    if name == "mix":
        return tuple(rows.chosen(model, value)) if value else ()
    if name in ("untransform", "held", "equivariance"):
        return _one_of(name, str(value).lower(), ("true", "false", "1", "0")) in "true1"
    known = {"filters": FILTERS, "kind": KINDS, "encoding": ENCODINGS}
    known["layer"] = ("", *layers(model))
    return _one_of(name, value, known[name])


def _number(name: str, value: Any, least: float, most: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not least <= number <= most:  # also of NaN
        why = f"must be a number from {least:g} to {most:g}"
        raise errors.SettingError(name, value, why)
    return number


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        shown = ", ".join(word for word in known if word)
        raise errors.SettingError(name, value, f"must be one of {shown}")
    return value
