"""Recorded data (NCHW, official names) to this project's layout and names, and back.

Also the one comparison rule: max |a - b| <= tolerance * max |b|, per array.
"""

import contextlib
import json
import os
import pathlib

import jax
import numpy as np

DATA = pathlib.Path(__file__).parent / "data"


def folder() -> pathlib.Path:
    """AFGAN_REFERENCE, else the subset here."""
    return pathlib.Path(os.environ.get("AFGAN_REFERENCE") or DATA)


def index(group: str, top: pathlib.Path | None = None) -> dict:
    """index.json of a group; an absent group has no cases."""
    path = (top or folder()) / group / "index.json"
    return json.loads(path.read_text()) if path.is_file() else {"cases": []}


class Arrays:
    """Arrays of one case: arrays["out/y"], with `prefix` put before each name.

    They are in `top`, by default the folder that is tested.
    """

    def __init__(self, group: str, file: str, prefix: str = "", top=None):
        with np.load((top or folder()) / group / file) as npz:
            names = [n for n in npz.files if n.startswith(prefix)]
            self.arrays = {n[len(prefix) :]: npz[n] for n in names}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def under(self, start: str) -> dict[str, np.ndarray]:
        """Arrays whose names begin with `start`, by the rest of their names."""
        found = self.arrays.items()
        return {n[len(start) :]: a for n, a in found if n.startswith(start)}


class Settings(dict):
    """Recorded settings that know which of them were read: none may be ignored."""

    def __init__(self, recorded: dict):
        super().__init__(recorded)
        self._read = set()
        for name, value in recorded.items():
            if isinstance(value, dict):
                self[name] = Settings(value)

    def __getitem__(self, name):
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        return self[name] if name in self else default

    def take(self, *names: str) -> dict:
        """Those of `names` that were recorded, by default all, as a plain dict."""
        return {name: self[name] for name in names or self if name in self}

    def unread(self) -> set[str]:
        """Names nobody asked for, also in sections."""
        found = set()
        for name, value in self.items():
            if isinstance(value, Settings):
                found |= {f"{name}.{inner}" for inner in value.unread()}
            elif name not in self._read:
                found.add(name)
        return found


def only(names, known, what: str) -> None:
    """Fails where something recorded is unknown, instead of passing over it."""
    unknown = set(names) - set(known)
    assert not unknown, f"no runner for {what} {sorted(unknown)}"


@contextlib.contextmanager
def float64():
    """jnp computes in float64 within."""
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)


def leaf(tree: dict, name: str):
    """The leaf of a nested dict that a dotted name leads to."""
    for part in name.split("."):
        tree = tree[part]
    return tree


def nhwc(a: np.ndarray) -> np.ndarray:
    return a.transpose(0, 2, 3, 1) if a.ndim == 4 else a


def nchw(a: np.ndarray) -> np.ndarray:
    return a.transpose(0, 3, 1, 2) if a.ndim == 4 else a


def assert_close(actual, expected, tolerance: float, name: str, scale=None) -> None:
    """max |actual - expected| within tolerance * scale, by default max |expected|."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{name}: {actual.shape} {expected.shape}"
    if not expected.size:
        return
    error = np.abs(actual.astype(np.float64) - expected).max()
    scale = np.abs(expected).max() if scale is None else scale
    assert error <= tolerance * max(scale, 1e-30), (
        f"{name}: off by {error:.3g} of {scale:.3g}, allowed {tolerance:g} of it"
    )


def yx(value):
    """[x, y] of the recorded data to (y, x); one number stays one number."""
    return value if isinstance(value, int | float) else (value[1], value[0])


def pads(value) -> tuple[tuple[int, int], tuple[int, int]]:
    """Recorded padding (one, [x, y] or [x0, x1, y0, y1]) to ((y0, y1), (x0, x1))."""
    value = [value] * 4 if isinstance(value, int) else list(value)
    if len(value) == 2:
        value = [value[0], value[0], value[1], value[1]]
    x0, x1, y0, y1 = value
    return (y0, y1), (x0, x1)
