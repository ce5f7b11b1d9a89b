"""Implementations of the filtered nonlinearity on this device: how exact, how fast."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax import jax_settings
from afgan_jax.bench import clock
from afgan_jax.networks import alias_free
from afgan_jax.signal import filters, nonlinearity, resample
from afgan_jax.signal.activations import Activation
from afgan_jax.signal.backends import banded, dispatch
from afgan_jax.signal.operators import FilteredActivation, Resampling

# platform: those that may be worth taking there.
WORTH = {
    "cpu": ("polyphase", "slices", "blocks"),
    "gpu": ("slices_in_rows", "blocks", "banded", "depthwise", "fused_gpu"),
    "tpu": ("banded", "blocks", "fused"),
}
# (up, taps of the up filter, whether the down filter is radial)
CASES = {"up 2": (2, 12, False), "radial": (2, 12, True), "up 4": (4, 24, False)}
# Least relative errors that are no rounding, of values and gradients.
_ALLOWED = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}
# Other implementations are for every dtype.
_DTYPES = {"fused_gpu": ("bfloat16", "float16")}
_GAIN, _SLOPE = 2**0.5, 0.2


@dataclasses.dataclass(frozen=True)
class Check:
    """Relative errors of an implementation's values and gradients; see `checks`."""

    name: str
    values: float
    gradients: float
    is_right: bool

    def line(self) -> str:
        said = "" if self.is_right else "  WRONG"
        return (
            f"{self.name:36}  values off by {self.values:z.1e}, gradients by"
            f" {self.gradients:z.1e}{said}"
        )


def checks(name: str) -> Iterator[Check]:
    """A row for each case and dtype of an implementation: errors against NumPy.

    NumPy computes in float64, from inputs of the dtype's precision.
    """
    forward, gradient = (
        dispatch.IMPLEMENTATIONS[o][name] for o in ("filtered", "filtered_gradient")
    )
    run = jax.jit(_both, static_argnums=(0, 1, 2))
    for case, (up, taps, radial) in CASES.items():
        op = _operator(up, taps, radial)
        for dtype in _DTYPES.get(name, _ALLOWED):
            x, ct = _inputs(op, dtype)
            found = run(forward, gradient, op, x, ct)
            off = [
                float(np.linalg.norm(np.asarray(a, np.float64) - b))
                / float(np.linalg.norm(b))
                for a, b in zip(found, exact(op, np.float64(x), np.float64(ct)))
            ]
            yield Check(f"{name} {case} {dtype}", *off, max(off) < _ALLOWED[dtype])


def _both(forward, gradient, op, x, ct):
    return forward(op, x), gradient(op, x, ct)


def _operator(up: int, taps: int, radial: bool) -> FilteredActivation:
    to_fine = resample.make_resampling(
        (18, 30), filters.lowpass(taps, 2, 2, 32), up=up, pad=up, gain=float(up * up)
    )
    down = filters.lowpass(12, 2, 2.5, 32, radial=radial)
    to_coarse = resample.make_resampling(to_fine.size_out, down, down=2)
    return FilteredActivation(Activation("lrelu", _GAIN, _SLOPE), to_fine, to_coarse)


def _inputs(op: FilteredActivation, dtype: str):
    rng = np.random.default_rng(0)
    shapes = (2, *op.up.size_in, 136), (2, *op.down.size_out, 136)
    return [jnp.asarray(rng.normal(size=s), dtype) for s in shapes]


def exact(op: FilteredActivation, x: np.ndarray, ct: np.ndarray):
    """(values, gradients for x given those of the output) by matrices in float64."""
    fine = _moved(op.up, x)
    slope = np.where(fine >= 0, _GAIN, _GAIN * _SLOPE)
    back = _moved(op.down.transposed(), ct)
    return _moved(op.down, slope * fine), _moved(op.up.transposed(), slope * back)


def _moved(spec: Resampling, x: np.ndarray) -> np.ndarray:
    terms = banded.separable_terms(spec, tolerance=0.0)
    return sum(
        np.einsum(
            "oh,pw,nhwc->nopc",
            banded.matrix(spec, 0, along_y),
            banded.matrix(spec, 1, along_x),
            x,
            optimize=True,
        )
        for along_y, along_x in terms
    )


def heaviest(synthesis) -> dict:
    """{case: the layer of it that moves most}, of an alias-free network."""
    found = {}
    for spec in synthesis.layers if synthesis.has_bands else ():
        if not spec.is_rgb:
            case = "radial" if spec.is_radial else f"up {spec.up}"
            found[case] = max(found.get(case, spec), spec, key=_moved_by)
    return found


def _moved_by(spec) -> int:
    return spec.out_size[0] * spec.out_size[1] * spec.out_channels


def times(case: str, name: str, spec, batch: int, **clocking) -> Iterator[clock.Row]:
    """The row of a layer's nonlinearity with its gradient, by an implementation."""
    size = tuple(n + spec.conv_kernel - 1 for n in spec.in_size)
    shape = (batch, *size, spec.out_channels)
    act = functools.partial(
        nonlinearity.filtered, **alias_free.filtering(spec, clamp=None)
    )
    out = jax.eval_shape(act, jax.ShapeDtypeStruct(shape, spec.dtype)).shape
    keys = jax.random.split(jax_settings.key(0))
    arrays = tuple(
        jax.random.normal(k, s).astype(spec.dtype) for k, s in zip(keys, (shape, out))
    )

    def trained(x, ct):
        y, pull = jax.vjp(act, x)
        return y, pull(ct)

    run = clock.sides(trained, {"filtered": name})
    title = f"{name} {case} {size[0]} C{spec.out_channels}"
    yield clock.measure(title, run, lambda: arrays, batch, naive=False, **clocking)
