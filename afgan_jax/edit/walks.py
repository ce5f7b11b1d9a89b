"""Walks through latents: functions of time, from 0 to 1.

A walk takes times [T] and gives z [T z_dim] or ws [T L w_dim]. Looped walks are the
same at 0 and 1. Keyframes K may have times of their own, from 0 up.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy import interpolate

Times = Float[np.ndarray, " _T"]
Keys = Float[np.ndarray, "_K *_shape"]
Walk = Callable[[Times], np.ndarray]  # [T ...]


def knots(count: int, loop: bool) -> Times:
    """Times of keyframes at equal distances; of a loop the first is due again at 1."""
    return np.arange(count) / max(count - (not loop), 1)


def spline(keys: Keys, *, loop: bool, at: Sequence[float] | None = None) -> Walk:
    """A cubic spline through keyframes, smooth also where a loop closes."""
    x, y = _closed(keys, loop, at)
    if len(x) == 1:
        return lambda times: np.broadcast_to(y, (len(times), *y.shape[1:]))
    kind = "periodic" if loop else "natural"
    curve = interpolate.CubicSpline(x, y, bc_type=kind)
    return lambda times: curve(np.clip(times, x[0], x[-1]))


def linear(
    keys: Keys,
    *,
    loop: bool,
    at: Sequence[float] | None = None,
    easings: Sequence[str | None] = (),
) -> Walk:
    """Straight lines from keyframe to keyframe; easings: how each is left."""
    x, y = _closed(keys, loop, at)
    ease = [EASINGS[name or "linear"] for name in easings]

    def walk(times):
        i, part = _place(x, times)
        for k, curve in enumerate(ease):
            part = np.where(i == k, curve(part), part)
        part = part.reshape(-1, *[1] * (y.ndim - 1))
        return y[i] + part * (y[np.minimum(i + 1, len(y) - 1)] - y[i])

    return walk


def slerp(
    keys: Float[np.ndarray, "K z_dim"], *, loop: bool, at: Sequence[float] | None = None
) -> Walk:
    """Arcs of great circles from z to z: all are as likely as the ends."""
    x, y = _closed(keys, loop, at)
    lengths = np.linalg.norm(y, axis=1, keepdims=True)
    units = y / lengths

    def walk(times):
        i, part = _place(x, times)
        part, j = part[:, None], np.minimum(i + 1, len(y) - 1)
        a, b = units[i], units[j]
        angle = np.arccos(np.clip(np.sum(a * b, axis=1, keepdims=True), -1, 1))
        sine = np.maximum(np.sin(angle), 1e-9)
        near = angle < 1e-4
        turned = (np.sin((1 - part) * angle) * a + np.sin(part * angle) * b) / sine
        direction = np.where(near, a, turned)
        return direction * (lengths[i] + part * (lengths[j] - lengths[i]))

    return walk


def noise(seed: int, dim: int, harmonics: int = 1) -> Walk:
    """A loop of Gaussian z, smooth in time: each z is as likely as any other.

    harmonics: 1 is a circle; more are faster and wander.
    """
    a, b = np.random.RandomState(seed).randn(2, harmonics, dim) / np.sqrt(harmonics)
    k = 2 * np.pi * np.arange(1, harmonics + 1)

    def walk(times):
        angle = times[:, None] * k
        return np.cos(angle) @ a + np.sin(angle) @ b

    return walk


# The part of the way after a part of the time.
EASINGS = {
    "linear": lambda x: x,
    "smooth": lambda x: x * x * (3 - 2 * x),
    "in": lambda x: x * x,
    "out": lambda x: x * (2 - x),
    "hold": lambda x: np.floor(x),  # jumps at the next keyframe
}


def _closed(
    keys: np.ndarray, loop: bool, at: Sequence[float] | None
) -> tuple[Times, np.ndarray]:
    """(times, keyframes); of a loop the first comes again at 1."""
    y = np.asarray(keys)
    x = knots(len(y), loop) if at is None else np.asarray(at, float)
    if loop:
        x, y = np.append(x, 1.0), np.concatenate([y, y[:1]])
    return x, y


def _place(x: Times, times: Times) -> tuple[np.ndarray, np.ndarray]:
    """(number of the keyframe before, part of the way to the next) of each time."""
    i = np.clip(np.searchsorted(x, times, side="right") - 1, 0, max(len(x) - 2, 0))
    if len(x) == 1:
        return i, np.zeros(len(times))
    return i, np.clip((times - x[i]) / (x[i + 1] - x[i]), 0, 1)
