"""Films of a model: frames over time, computed as they are taken."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, UInt8

from afgan_jax import errors
from afgan_jax.edit import directions, motions, walks
from afgan_jax.model import Label, Model
from afgan_jax.signal import pixels
from afgan_jax.viz import grid

OF_KEYS = {"spline": walks.spline, "linear": walks.linear, "slerp": walks.slerp}
HARMONICS = {"circle": 1, "noise": 4}  # of walks around one seed
WALKS = (*OF_KEYS, *HARMONICS)
KEYS, BETWEEN, WHOLE = 4, 2.0, 8.0  # by default: seeds a cell; seconds of both kinds


@dataclasses.dataclass(frozen=True)
class Film:
    """What is seen over time, from 0 to 1, which is `seconds` later.

    cells: walks of ws, side by side in so many columns. motion: None leaves images
    where w puts them. loop: whether 1 is 0 again.
    """

    cells: Sequence[walks.Walk]
    seconds: float
    loop: bool = True
    motion: motions.Motion | None = None
    columns: int = 1

    def ws(self, times: walks.Times) -> Float[np.ndarray, "cells T L w_dim"]:
        return np.stack([np.float32(walk(times)) for walk in self.cells])


def of_seeds(
    model: Model,
    seeds: Sequence[int] | None = None,
    *,
    walk: str = "spline",
    ws: Float[np.ndarray, "N L w_dim"] | None = None,
    loop: bool = True,
    seconds: float | None = None,
    size: tuple[int, int] = (1, 1),
    label: Label | None = None,
    psi: float = 1.0,
) -> Film:
    """A film through seeds, or through ws, in each cell of a grid of (rows, columns).

    walk: one of WALKS; "circle" and "noise" have one seed a cell. Seeds go to the cells
    in turn. seconds: between keyframes; of "circle" and "noise" in all.
    Raises SettingError for what does not go together.
    """
    if walk not in WALKS:
        raise errors.SettingError("walk", walk, f"must be one of {', '.join(WALKS)}")
    cells = size[0] * size[1]
    is_keyed = walk in OF_KEYS
    each = KEYS if is_keyed else 1
    if ws is not None and walk not in ("spline", "linear"):
        raise errors.SettingError("walk", walk, "begins at z: ws have none; use spline")
    numbers = range(each * cells) if seeds is None else seeds
    count = len(numbers) if ws is None else len(ws)
    if count < cells or count % cells or (not is_keyed and count != cells):
        need = "as many seeds or ws" + ", or a multiple," * is_keyed
        why = f"has {cells} cells: {walk} needs {need} and not {count}"
        raise errors.SettingError("grid", f"{size[0]}x{size[1]}", why)
    per = count // cells
    if is_keyed and seconds is None:
        seconds = BETWEEN
    whole = seconds * max(per - (not loop), 1) if is_keyed else seconds or WHOLE
    if not is_keyed:
        dim = model.z_dim
        paths = [walks.noise(seed, dim, HARMONICS[walk]) for seed in numbers]
    else:
        keys = ws
        if walk == "slerp":
            keys = model.z(numbers)
        elif ws is None:
            keys = jax.device_get(model.ws(numbers, label=label, psi=psi))
        parts = keys.reshape(cells, per, *keys.shape[1:])
        paths = [OF_KEYS[walk](part, loop=loop) for part in parts]
    if walk not in ("spline", "linear"):
        paths = [of_z(model, path, label=label, psi=psi) for path in paths]
    return Film(paths, whole, loop, None, size[1])


def of_z(
    model: Model, walk: walks.Walk, *, label: Label | None = None, psi: float = 1.0
) -> walks.Walk:
    """The walk of ws of a walk of z."""

    def ws(times):
        z = np.float32(walk(times))
        return jax.device_get(model.ws(z=z, label=label, psi=psi))

    return ws


def swinging(
    film: Film, found: directions.Directions, amounts: Mapping[int | str, float]
) -> Film:
    """The film with ws pushed along directions by these amounts, times a sine wave."""

    def swung(walk):
        def ws(times):
            pushed = [
                found.pushed(
                    w[None],
                    {k: a * np.sin(2 * np.pi * time) for k, a in amounts.items()},
                )
                for w, time in zip(walk(times), times)
            ]
            return np.concatenate(pushed)

        return ws

    return dataclasses.replace(film, cells=[swung(walk) for walk in film.cells])


def anchored(model: Model, film: Film) -> Film:
    """The film with the average's motion: w no longer turns and shifts the input.

    Raises ValueError for a model whose input w does not move.
    """
    count = model.network.synthesis.input_ws
    if not count:
        raise ValueError("anchor: in this model w does not move the input")
    average = jax.device_get(model.variables["buffers"]["mapping"]["w_avg"])

    def still(walk):
        def ws(times):
            found = np.array(walk(times))
            found[:, :count] = average
            return found

        return ws

    return dataclasses.replace(film, cells=[still(walk) for walk in film.cells])


def frames(
    models: Mapping[str, Model],
    film: Film,
    count: int,
    *,
    batch: int = 8,
    squares: bool = False,
) -> Iterator[UInt8[np.ndarray, "_H _W _C"]]:
    """`count` frames of the film, the models side by side; memory is that of a batch.

    Several models are told apart by captions, their names.
    """
    if count < 1:
        raise errors.SettingError("frames", count, "must be 1 or more")
    times = np.arange(count) / max(count - (not film.loop), 1)
    cells = len(film.cells)
    at_a_time = max(batch // cells, 1)
    for start in range(0, count, at_a_time):
        part = times[start : start + at_a_time]
        full = np.resize(part, at_a_time)  # one shape, compiled once
        ws = film.ws(full)
        ws = ws.reshape(-1, *ws.shape[2:])
        moves = None
        if film.motion is not None:
            moves = np.tile(film.motion.transforms(full), (cells, 1, 1))
        drawn = []
        for model in models.values():
            images = pixels.to_uint8(model.synthesize(ws, transform=moves, batch=batch))
            images = images.reshape(cells, at_a_time, *images.shape[1:]).swapaxes(0, 1)
            drawn.append(
                [grid.sheet(each, film.columns, squares=squares) for each in images]
            )
        for i in range(len(part)):
            yield _side_by_side(list(models), [sheets[i] for sheets in drawn])


def kept(frames: Iterator[np.ndarray], folder: Path | None) -> Iterator[np.ndarray]:
    """The frames, each also as folder/000000.png and so on, if there is a folder."""
    for i, frame in enumerate(frames):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            grid.save_png(folder / f"{i:06d}.png", frame)
        yield frame


def _side_by_side(names: Sequence[str], sheets: Sequence[np.ndarray]) -> np.ndarray:
    if len(sheets) == 1:
        return sheets[0]
    parts = [
        grid.strip([sheet[None]], [name], gap=4) for name, sheet in zip(names, sheets)
    ]
    return np.concatenate(parts, axis=1)
