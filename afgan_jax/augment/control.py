"""Adaptive augmentation: the strength p depends on how sure D is of real images.

When D overfits, its logits of real images are all positive and r, the mean of their
signs, approaches 1. Every `interval` steps p rises if r is above a target and falls if
it is below, at a constant speed:

    p <- max(p + sign(r - target) * images shown / (1000 * adjust_kimg), 0)

Source: Training Generative Adversarial Networks with Limited Data, Sec. 3.
"""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax import errors, ranges
from afgan_jax.augment import draws, pipeline

# mode: the default of p, which is the first p if it adapts.
MODES = {"noaug": None, "fixed": 0.2, "ada": 0.0}
State = dict[str, Float[Array, "..."]]  # {"p": [], "signs": [2], their count and sum}


@dataclasses.dataclass(frozen=True, eq=False)
class Control:
    """The augmentation of D's images, and how its strength changes."""

    multipliers: draws.Multipliers
    p: float  # at first
    target: float
    interval: int
    adjust_kimg: float  # images shown while p moves by 1, in thousands

    @property
    def adapts(self) -> bool:
        return self.adjust_kimg < math.inf

    def augment(self, key: jax.Array, images: Array, p: float | Array):
        """Images [N H W C] at strength p."""
        chance = draws.sample(key, self.multipliers, images.shape)
        return pipeline.apply(chance, self.multipliers, images, p)

    def initial(self) -> State:
        """The state at the beginning of training."""
        return {"p": jnp.float32(self.p), "signs": jnp.zeros(2, jnp.float32)}

    def adapt(self, state: State, step: Array, batch_size: int) -> State:
        """The state after `step` iterations; p changes in every `interval`-th."""
        count, total = state["signs"]
        speed = batch_size * self.interval / (1000 * self.adjust_kimg)
        p = adjust_p(state["p"], total / jnp.maximum(count, 1), self.target, speed)
        due = step % self.interval == 0
        return {
            "p": jnp.where(due, p, state["p"]),
            "signs": jnp.where(due, 0, state["signs"]),
        }


def make_control(
    *,
    mode: str = "noaug",
    preset: str = "bgc",
    multipliers: dict | None = None,
    p: float | None = None,
    target: float = 0.6,
    interval: int = 4,
    adjust_kimg: float = 500.0,
) -> Control | None:
    """The augmentation of a mode: none ("noaug"), "fixed" or adaptive ("ada").

    `preset` names a set of transforms, which `multipliers` ({"hue": 0, "noise": 0.5})
    change. p is the strength, or the first one if it adapts; None: 0.2 if fixed, 0 if
    it adapts. Mode "ada" changes p every `interval` steps to hold the mean sign of D's
    logits of real images at `target`, by 1 in `adjust_kimg` thousand images (published:
    500, or 100 to continue from a trained network).
    Raises SettingError for impossible values.
    """
    errors.check_known("augment.mode", mode, MODES)
    of = pipeline.make_multipliers(preset, multipliers)
    if mode == "noaug":
        if p is not None:
            why = "has no effect with augment.mode=noaug: set that to fixed or ada"
            raise errors.SettingError("augment.p", p, why)
        return None
    p = MODES[mode] if p is None else p
    numbers = {"p": p, "target": target, "interval": interval}
    ranges.check("augment", **numbers, adjust_kimg=adjust_kimg)
    return Control(of, p, target, interval, adjust_kimg if mode == "ada" else math.inf)


def adjust_p(
    p: Float[Array, ""], sign_mean: Float[Array, ""], target: float, speed: float
) -> Float[Array, ""]:
    """p moved by `speed`, up where sign_mean is above target, down to 0 where below.

    A sign_mean of NaN leaves p, which would be NaN for the rest of the run.
    """
    direction = jnp.nan_to_num(jnp.sign(sign_mean - target))
    return jnp.maximum(p + direction * speed, 0)


def count_signs(state: State, stats: Mapping[str, Array]) -> State:
    """The state after a phase; `stats` has sums [count, sum, ...] by name."""
    more = stats["Loss/signs/real"][:2] if "Loss/signs/real" in stats else 0
    return state | {"signs": state["signs"] + more}
