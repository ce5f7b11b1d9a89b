"""A test of the Pallas kernels on the devices of this machine.

python -m afgan_jax.signal.backends.pallas_selftest

prints a line that begins with FAULT and says what is wrong with the kernel for NVIDIA
GPUs, none if nothing is: in its own process, which the compiler ends if it does not
know the card.
"""

import jax
import jax.numpy as jnp

from afgan_jax import jax_settings
from afgan_jax.signal import filters, resample
from afgan_jax.signal.activations import Activation
from afgan_jax.signal.backends import dispatch, pallas_gpu, pallas_gpu_units, pallas_tpu
from afgan_jax.signal.operators import FilteredActivation

FAULT = "fault of the kernel: "
# kernel: ((dtype, allowed relative error), ...)
ALLOWED = {
    pallas_tpu: ((jnp.float32, 1e-3), (jnp.bfloat16, 5e-2)),
    pallas_gpu: ((jnp.float16, 1e-2), (jnp.bfloat16, 5e-2)),
}


def fault(kernel) -> str | None:
    """What is wrong with a kernel's module, None if nothing.

    Compares values and gradients with "banded", on images wide enough for several
    blocks of a band and channels for several programs, the last partly filled.
    """
    banded = dispatch.IMPLEMENTATIONS["filtered"]["banded"]
    gradient = dispatch.IMPLEMENTATIONS["filtered_gradient"]["banded"]
    separable, radial = (
        filters.lowpass(12, 2, 2.5, 32, radial=radial) for radial in (False, True)
    )
    fine = filters.lowpass(24, 2, 2, 64)
    cases = ((2, separable, separable), (2, separable, radial), (4, fine, separable))
    for dtype, allowed in ALLOWED[kernel]:
        for up, up_filter, down_filter in cases:
            to_fine = resample.make_resampling(
                (10, 140), up_filter, up=up, pad=up, gain=float(up * up)
            )
            to_coarse = resample.make_resampling(to_fine.size_out, down_filter, down=2)
            op = FilteredActivation(Activation(clamp=1.0), to_fine, to_coarse)
            keys = jax.random.split(jax_settings.key(0))
            x = jax.random.normal(keys[0], (1, *to_fine.size_in, 260), dtype)
            ct = jax.random.normal(keys[1], (1, *to_coarse.size_out, 260), dtype)
            try:
                found = kernel.filtered(op, x), kernel.filtered_vjp(op, x, ct)
                jax.block_until_ready(found)
            except Exception as error:  # any error of a compiler or device
                return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            expected = banded(op, x), gradient(op, x, ct)
            for name, a, b in zip(("values", "gradients"), found, expected):
                a, b = (v.astype(jnp.float32) for v in (a, b))
                # In bfloat16 values near 0 may change slope: compare all at once.
                off = float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))
                if not off < allowed:
                    return (
                        f"{name} are off by {off:z.2g} at up {up} in {dtype.__name__}"
                    )
    return None


if __name__ == "__main__":
    found = "its self-test finds no such GPU"
    if pallas_gpu_units.generation() is not None:
        found = fault(pallas_gpu)
    if found is not None:
        print(FAULT + found)
