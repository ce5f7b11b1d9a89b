"""Track files: keyframes of a film, in YAML.

    loop: true                # by default; the first keyframe comes again at the end
    length: 6                 # seconds; needed for a loop
    keys:
      - {time: 0, seed: 3, psi: 0.7}
      - {time: 2, seed: 8, rotate: 90, easing: smooth}
      - {time: 4, w: face.npz, translate: [0.1, 0], zoom: 1.5}

seed or w says what is seen; psi, cutoff and class belong to seeds. rotate is in
degrees, translate in shorter sides; both, and zoom, stay as they were where they are
left out. easing says how a keyframe goes over to the next: linear, smooth, in, out or
hold. If no keyframe has one, w follows a spline and motions are linear. w files are
found beside the track.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml

from afgan_jax import places
from afgan_jax.edit import film, motions, w_files, walks
from afgan_jax.model import Model

LATENT = {"seed": int, "w": str, "psi": float, "cutoff": int, "class": str | int}
MOTION = {"rotate": float, "translate": list, "zoom": float}
KEYS = {"time": float, **LATENT, **MOTION, "easing": str}
STILL = {"rotate": 0.0, "translate": [0.0, 0.0], "zoom": 1.0}
TOP = {"loop": bool, "length": float, "keys": list}


def read(path: str | os.PathLike, model: Model) -> film.Film:
    """The film of a track file.

    Raises ValueError for what no track can be, and for ws that do not fit the model.
    """
    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{path} is no YAML: {why}") from None
    return of_data(given, model, path)


def of_data(given: Any, model: Model, path: Path = Path("track")) -> film.Film:
    """As `read`, of what a track file says."""
    top = _checked(given, TOP, f"{path}")
    keys = [
        _checked(key, KEYS, f"{path}, keyframe {i + 1}")
        for i, key in enumerate(top.get("keys") or [])
    ]
    loop = top.get("loop", True)
    at, seconds = _times(keys, top, loop, path)
    easings = [key.get("easing") for key in keys]
    for easing in easings:
        if easing is not None and easing not in walks.EASINGS:
            known = ", ".join(walks.EASINGS)
            raise ValueError(f"{path}: easing {easing} is unknown: use one of {known}")
    where = {"loop": loop, "at": at}
    ws = np.concatenate([_ws(key, model, path) for key in keys])
    if any(easings):
        path_of_w = walks.linear(ws, easings=easings, **where)
    else:
        path_of_w = walks.spline(ws, **where)
    moved = {name: _filled(keys, name) for name in MOTION}
    motion = None
    if any(value != STILL[name] for name in MOTION for value in moved[name]):
        moved["rotate"] = np.deg2rad(moved["rotate"])
        motion = motions.Motion(
            **{
                name: walks.linear(np.array(values), easings=easings, **where)
                for name, values in moved.items()
            }
        )
    return film.Film([path_of_w], seconds, loop, motion)


def _checked(given: Any, known: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The mapping, numbers as float; ValueError for other names and kinds."""
    if not isinstance(given, dict):
        raise ValueError(f"{where} must have names and values: {', '.join(known)}")
    found = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{where}: {name} is unknown: use {', '.join(known)}")
        kind = known[name]
        if kind is float and type(value) is int:
            value = float(value)
        if kind is float and isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{where}: {name}: {value} must be finite")
        is_bool = isinstance(value, bool) and kind is not bool
        if is_bool or not isinstance(value, kind):
            said = getattr(kind, "__name__", "str or int")
            raise ValueError(f"{where}: {name}: {value!r} must be of kind {said}")
        found[name] = value
    return found


def _times(keys: list, top: Mapping, loop: bool, path: Path) -> tuple[list, float]:
    """(times of the keyframes as parts of the whole, seconds in all)."""
    if not keys:
        raise ValueError(f"{path} has no keys: a track needs one or more")
    times = [key.get("time") for key in keys]
    if None in times:
        raise ValueError(f"{path}, keyframe {times.index(None) + 1}: time is missing")
    rises = all(a < b for a, b in zip(times, times[1:]))
    if times[0] != 0 or not rises:
        raise ValueError(f"{path}: times {times} must begin with 0 and rise")
    seconds = top.get("length", None if loop else times[-1])
    if seconds is None:
        raise ValueError(f"{path}: length is missing: when the loop begins again")
    if not (seconds > times[-1] if loop else seconds >= times[-1]) or seconds <= 0:
        raise ValueError(f"{path}: length {seconds:g} must be above {times[-1]:g}")
    return [time / seconds for time in times], seconds


def _ws(key: Mapping, model: Model, path: Path) -> np.ndarray:
    """[1 L w_dim] of a keyframe."""
    if ("seed" in key) == ("w" in key):
        raise ValueError(f"{path}, at {key['time']:g} s: give either seed or w")
    if "w" in key:
        odd = [name for name in ("psi", "cutoff", "class") if name in key]
        if odd:
            raise ValueError(f"{path}: {odd[0]} is for a seed, not for w")
        ws = w_files.read(path.parent / places.expanded(key["w"]), model)
        if len(ws) != 1:
            raise ValueError(f"{path}: {key['w']} holds {len(ws)} ws: give a file of 1")
        return ws
    if model.c_dim and "class" not in key:
        raise ValueError(f"{path}, at {key['time']:g} s: class is missing")
    found = model.ws(
        [key["seed"]],
        label=key.get("class"),
        psi=key.get("psi", 1.0),
        cutoff=key.get("cutoff"),
    )
    return jax.device_get(found)


def _filled(keys: list, name: str) -> list:
    """The values of a motion, as they were before where one is left out."""
    values, last = [], STILL[name]
    for key in keys:
        last = key.get(name, last)
        if name == "translate":
            is_pair = len(last) == 2 and all(type(x) in (int, float) for x in last)
            if not is_pair:
                raise ValueError(f"translate: {last} must be two numbers")
        values.append(last)
    return values
