"""Rows of an input, on their way through the Pallas kernel for NVIDIA GPUs."""

import dataclasses
import functools
import operator

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from afgan_jax.signal.backends import pallas_gpu_plan as plans
from afgan_jax.signal.backends import pallas_gpu_units as units

CHANNELS, WIDTH = plans.CHANNELS, plans.WIDTH


@dataclasses.dataclass(frozen=True)
class Feed:
    """The rows of an input: copied to `slots`, summed into `line`.

    place: (image, first channel, strip, chunk).
    """

    unit: units.Units
    plan: plans.Plan
    input: plans.Input
    x: object
    slots: object
    line: object
    arrived: object
    place: tuple

    def fetch(self, number, slot) -> None:
        """Begin the copy of a row, counted from the first that the chunk reads."""
        i, (n, c, s, r) = self.input, self.place
        top, left = _margins(i) if self.unit.has_margins else (0, 0)
        row = r * (self.plan.rows.outputs * self.plan.rows.step // i.spec.up[0])
        row += i.rows.first + top + number
        column = pick(i.first, s) + left
        source = self.x.at[n, row, pl.ds(column, WIDTH), pl.ds(c, CHANNELS)]
        self.unit.fetch(source, self.slots.at[slot], self.arrived.at[slot])

    def start(self) -> None:
        for number in range(min(self.input.slots, self._total())):
            self.fetch(number, number)
        for number in range(self.input.rows.count - self.input.rows.stride):
            self.unit.wait(self.arrived.at[number])

    def weigh(self, g) -> None:
        """line [terms W rows*C]: the weighted rows for round g."""
        rows, slots = self.input.rows, self.input.slots
        first = g * rows.stride
        for k in range(rows.count - rows.stride, rows.count):
            self.unit.wait(self.arrived.at[jax.lax.rem(first + k, slots)])
        held = [
            self.unit.load(self.slots, jax.lax.rem(first + k, slots))
            for k in range(rows.count)
        ]
        for t, term in enumerate(rows.weights):
            for j, weights in enumerate(term):
                parts = [held[k] * weight for k, weight in weights]
                total = functools.reduce(operator.add, parts)
                channels = pl.ds(j * CHANNELS, CHANNELS)
                self.line[t, :, channels] = total.astype(self.line.dtype)

    def fetch_ahead(self, g) -> None:
        """Begin the copies of rows for later rounds, in place of those of round g."""
        stride, slots = self.input.rows.stride, self.input.slots
        for k in range(stride):
            number = g * stride + slots + k

            @pl.when(number < self._total())
            def _(number=number):
                self.fetch(number, jax.lax.rem(number, slots))

    def _total(self) -> int:
        rows = self.input.rows
        return (self.plan.rounds - 1) * rows.stride + rows.count


def pick(numbers, index):
    """numbers[index], of few numbers; not known to the compiler.

    JAX refuses slices that are known to lie outside, where the copy engine makes zeros.
    """
    found = 0 * index + numbers[0]
    for k, number in enumerate(numbers[1:], 1):
        found = jnp.where(index == k, number, found)
    return found


def with_margins(plan: plans.Plan, i: plans.Input, x: jax.Array) -> jax.Array:
    """Zeros as far as programs read."""
    rows, (top, left) = i.rows, _margins(i)
    last = (plan.chunks - 1) * plan.rows.outputs * plan.rows.step // i.spec.up[
        0
    ] + rows.first
    last += (plan.rounds - 1) * rows.stride + rows.count
    low = max(0, last - x.shape[1])
    right = max(0, max(i.first) + WIDTH - x.shape[2])
    return jnp.pad(x, ((0, 0), (top, low), (left, right), (0, 0)))


def _margins(i: plans.Input) -> tuple[int, int]:
    return max(0, -i.rows.first), max(0, -min(i.first))
