"""Adaptive augmentation: its strength p follows how sure D is of the real images.

D overfits when its logits of real images are all positive: r, the mean of their signs,
nears 1. Every so many steps p rises if r is above a target and falls if below, by a
constant speed, and never below 0.

    p <- max(p + sign(r - target) * images shown / (1000 * adjust_kimg), 0)

Source: Training Generative Adversarial Networks with Limited Data, Sec. 3.
"""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax.augment import draws, pipeline

# mode: p unless the config says otherwise, at first if it adapts.
MODES = {"noaug": None, "fixed": 0.2, "ada": 0.0}
State = dict[str, Float[Array, "..."]]  # {"p": [], "signs": [2], their count and sum}


@dataclasses.dataclass(frozen=True, eq=False)
class Control:
    """What D's images go through, and how its strength changes."""

    multipliers: draws.Multipliers
    p: float  # at first
    target: float
    interval: int
    adjust_kimg: float  # images shown while p moves by 1, in thousands

    @property
    def adapts(self) -> bool:
        return self.adjust_kimg < math.inf

    def augment(self, key: jax.Array, images: Array, p: Array) -> Array:
        """Images [N H W C] at strength p."""
        chance = draws.sample(key, self.multipliers, images.shape)
        return pipeline.apply(chance, self.multipliers, images, p)

    def initial(self) -> State:
        """The state at the beginning of training."""
        return {"p": jnp.float32(self.p), "signs": jnp.zeros(2)}

    def adapt(self, state: State, step: Array, batch_size: int) -> State:
        """The state after `step` iterations: p may move at every `interval`-th."""
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
    """What D sees: images as they are ("noaug": None comes back), augmented at one
    strength ("fixed") or at one that adapts ("ada").

    `preset` names a set of transforms, which `multipliers` ({"hue": 0, "noise": 0.5})
    change. p: the strength, at first if it adapts; None: 0.2 if fixed, 0 if it adapts.
    When it does, every `interval` steps, the mean sign of D's logits of real images is
    held at `target`, p changing by 1 in `adjust_kimg` thousand images (published: 500;
    100 when training goes on from a trained network).
    Raises ValueError for values that cannot work.
    """
    if mode not in MODES:
        raise ValueError(
            f"augment.mode={mode!r} is unknown: use one of {', '.join(MODES)}"
        )
    of = pipeline.make_multipliers(preset, multipliers)
    p = MODES[mode] if p is None else p
    if mode == "noaug":
        if p is not None:
            raise ValueError(
                f"augment.p={p} has no effect with augment.mode=noaug: set augment.mode"
                " to fixed or ada"
            )
        return None
    _check(p, target, interval, adjust_kimg)
    return Control(of, p, target, interval, adjust_kimg if mode == "ada" else math.inf)


def adjust_p(
    p: Float[Array, ""], sign_mean: Float[Array, ""], target: float, speed: float
) -> Float[Array, ""]:
    """p moved by `speed` towards holding `sign_mean` at `target`; at least 0.

    Logits that are NaN leave it: it would be NaN for the rest of the run.
    """
    direction = jnp.nan_to_num(jnp.sign(sign_mean - target))
    return jnp.maximum(p + direction * speed, 0)


def count_signs(state: State, stats: Mapping[str, Array]) -> State:
    """The state after a phase with these sums [count, sum, ...] by name."""
    more = stats["Loss/signs/real"][:2] if "Loss/signs/real" in stats else 0
    return state | {"signs": state["signs"] + more}


def _check(p: float, target: float, interval: int, adjust_kimg: float) -> None:
    if not 0 <= p < math.inf:
        raise ValueError(f"augment.p={p} must be at least 0 and finite (usual: to 1)")
    if not -1 < target < 1:
        raise ValueError(
            f"augment.target={target} is a mean of signs: above -1 and below 1"
        )
    if interval < 1 or not 0 < adjust_kimg < math.inf:
        raise ValueError(
            f"augment.interval={interval} must be at least 1 and"
            f" augment.adjust_kimg={adjust_kimg} above 0 and finite"
        )
