"""Motions of the image over time: functions of times [T], from 0 to 1.

Angles are in radians, counterclockwise; lengths in shorter sides, right and down.
"""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float

from afgan_jax import errors, jax_settings
from afgan_jax.edit.walks import Times, Walk
from afgan_jax.signal import affine


@dataclasses.dataclass(frozen=True)
class Motion:
    """Where images are at each time: rotate [T], translate [T 2], zoom [T]."""

    rotate: Walk = lambda times: np.zeros(len(times))
    translate: Walk = lambda times: np.zeros((len(times), 2))
    zoom: Walk = lambda times: np.ones(len(times))

    def transforms(self, times: Times) -> Float[np.ndarray, "T 3 3"]:
        """The user transform at each time. Raises SettingError for a zoom of 0."""
        zoom = self.zoom(times)
        if not np.all(zoom > 0):
            raise errors.SettingError("zoom", f"{zoom.min():g}", "must be above 0")
        moves = (self.rotate(times), *self.translate(times).T, zoom)
        with jax_settings.transfers():
            found = affine.user_transform(*(np.float32(move) for move in moves))
        return jax.device_get(found)


def steady(
    turns: float = 0.0,
    drift: tuple[float, float] = (0.0, 0.0),
    circle: float = 0.0,
    start: float = 0.0,
    zoom: float = 1.0,
) -> Motion:
    """In all so many turns from the angle `start`, a drift, a circle of this radius."""

    def translate(times):
        angle = 2 * np.pi * times
        around = circle * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return around + times[:, None] * np.asarray(drift)

    return Motion(
        lambda times: start + 2 * np.pi * turns * times,
        translate,
        lambda times: np.full(len(times), zoom),
    )
