"""Settings that begin elsewhere and reach their values along half a cosine.

Source: R3GAN (Sec. 4 and appendix: learning rates, beta2, gamma, average of G).
"""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from afgan_jax import errors, ranges

Number = float | jax.Array
NAMES = ("gamma", "G_lr", "D_lr", "beta2", "ema_kimg")


@dataclasses.dataclass(frozen=True, eq=False)
class BurnIn:
    """The values `first` of some settings, which end after `kimg` thousand images."""

    kimg: float = 0.0
    first: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def value(self, name: str, last: float, nimg: int | jax.Array) -> Number:
        """The setting after `nimg` images, on its way to `last`.

        That is `last` itself, a constant, for a setting that does not change.
        """
        if name not in self.first:
            return last
        if isinstance(nimg, int):
            cosine = math.cos(math.pi * min(nimg / (1000 * self.kimg), 1))
        else:
            progress = jnp.minimum(nimg.astype(jnp.float32) / (1000 * self.kimg), 1)
            cosine = jnp.cos(math.pi * progress)
        left = (1 + cosine) / 2
        return last + (self.first[name] - last) * left


def make_burn_in(
    *,
    kimg: float = 0.0,
    gamma: float | None = None,
    G_lr: float | None = None,
    D_lr: float | None = None,
    beta2: float | None = None,
    ema_kimg: float | None = None,
) -> BurnIn:
    """The first values of settings, which are as set elsewhere after `kimg`.

    gamma is that of losses.r1_gamma and r2_gamma, where they are above 0; the others
    are in updates. None: constant.
    Raises SettingError for numbers out of range, and for first values without `kimg`.
    """
    given = zip(NAMES, (gamma, G_lr, D_lr, beta2, ema_kimg), strict=True)
    first = {name: value for name, value in given if value is not None}
    ranges.check("burn_in", kimg=kimg, **first)
    if first and kimg == 0:
        name = next(iter(first))
        why = "begins a burn-in of no length: set burn_in.kimg as well"
        raise errors.SettingError(f"burn_in.{name}", first[name], why)
    return BurnIn(kimg, first)
