"""Compiles the Pallas kernels of both passes for a card that need not be here.

python tests/bench/kernel_compilation.py CARD CASE ..

Mosaic compiles for one kind of card in a process. ptxas says on the standard output
what registers it uses, for two kernels a case.
"""

import functools
import os
import sys

import jax

from afgan_jax.bench import cards
from afgan_jax.signal import filters, nonlinearity, resample
from afgan_jax.signal.activations import Activation
from afgan_jax.signal.backends import pallas_gpu_plan, pallas_gpu_units
from afgan_jax.signal.operators import FilteredActivation

# name: (up, whether the down filter is radial, size, channels, dtype)
CASES = {
    "separable": (2, False, (148, 148), 256, "bfloat16"),
    "radial": (2, True, (147, 149), 512, "float16"),
    "up 4": (4, False, (148, 148), 181, "bfloat16"),
}


def operation(name: str) -> FilteredActivation:
    up, radial, size, *_ = CASES[name]
    band, pad = ((2, 2.5, 32), (11, 10)) if up == 2 else ((2, 2, 64), (-4, -5))
    to_fine = resample.make_resampling(
        size, filters.lowpass(6 * up, *band), up=up, pad=(pad, pad), gain=float(up * up)
    )
    down_filter = filters.lowpass(12, 2, 2.5, 32, radial=radial)
    to_coarse = resample.make_resampling(to_fine.size_out, down_filter, down=2)
    act = Activation("lrelu", clamp=256.0)
    return FilteredActivation(act, to_fine, to_coarse, "fused")


def shared_bytes(name: str) -> int:
    """Fast memory of a program, of the pass that needs more."""
    op = operation(name)
    down = op.down.transposed()
    plans = (
        pallas_gpu_plan.supported([op.up], op.down, 1e-3),
        pallas_gpu_plan.supported([op.up, down], op.up.transposed(), 1e-3),
    )
    return max(plan.shared_bytes for plan in plans)


def compile_for(card: str, name: str) -> None:
    *_, size, channels, dtype = CASES[name]

    def both(x):
        op = functools.partial(nonlinearity.apply, operation(name))
        y, pull = jax.vjp(op, x)
        return y, pull(y)

    where = jax.sharding.SingleDeviceSharding(cards.devices(card)[0])
    x = jax.ShapeDtypeStruct((2, *size, channels), dtype, sharding=where)
    generation = pallas_gpu_units.GENERATIONS[cards.CARDS[card].capability[0]]
    with pallas_gpu_units.compiling_for(generation):
        text = jax.jit(both).lower(x).compile(cards.COMPILER_OPTIONS).as_text()
    assert text.count('custom_call_target="mosaic_gpu') == 2


if __name__ == "__main__":
    os.environ["MOSAIC_GPU_DUMP_PTXAS"] = "1"
    for name in sys.argv[2:]:
        compile_for(sys.argv[1], name)
