"""Pointwise nonlinearities, plain and filtered.

A pointwise function of a sampled signal creates frequencies without bound. The
filtered form evaluates it at a raised sampling rate and low-passes the result before
decimating (Alias-Free GAN, Sec. 3.2 and App. D): y = D act(U (x + bias)), with U and D
resamplings. Only x is kept for the derivative; U x is computed again.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.signal import batching, filters, precision, resample
from afgan_jax.signal.backends import (
    banded,
    blocks,
    depthwise,
    dispatch,
    pallas_tpu,
    polyphase,
)


def _scaled(function: Callable) -> Callable:
    """gain * function(x), clipped."""

    def scaled(gain, slope, clamp, x):
        y = function(x) * gain
        return y if clamp is None else jnp.clip(y, -clamp, clamp)

    return scaled


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _leaky_relu(gain: float, slope: float, clamp: float | None, x: jax.Array):
    """In the fewest operations of a vector unit, and its derivative too."""
    pick = jnp.maximum if gain * slope <= gain else jnp.minimum
    y = pick(gain * x, gain * slope * x)
    return y if clamp is None else jnp.clip(y, -clamp, clamp)


@_leaky_relu.defjvp
def _leaky_relu_jvp(gain, slope, clamp, primals, tangents):
    (x,), (tangent,) = primals, tangents
    rise = jnp.where(x >= 0, jnp.asarray(gain, x.dtype), gain * slope)
    if clamp is not None:
        low, high = (clamp / max(abs(g), 1e-30) for g in (gain * slope, gain))
        rise = jnp.where(jnp.clip(x, -low, high) == x, rise, 0)
    return _leaky_relu(gain, slope, clamp, x), tangent * rise


# name: (function(gain, slope, clamp, x), the usual gain)
ACTIVATIONS: dict[str, tuple[Callable, float]] = {
    "linear": (_scaled(lambda x: x), 1.0),
    "relu": (_scaled(jax.nn.relu), math.sqrt(2)),
    "lrelu": (_leaky_relu, math.sqrt(2)),
    "tanh": (_scaled(jnp.tanh), 1.0),
    "sigmoid": (_scaled(jax.nn.sigmoid), 1.0),
    "elu": (_scaled(jax.nn.elu), 1.0),
    "selu": (_scaled(jax.nn.selu), 1.0),
    "softplus": (_scaled(jax.nn.softplus), 1.0),
    "swish": (_scaled(jax.nn.silu), math.sqrt(2)),
}


@dataclasses.dataclass(frozen=True)
class Activation:
    """x -> clip(gain * act(x), -clamp, clamp); None is the usual gain, or no clamp.

    The derivative is zero where the result is clipped. `slope` is that of "lrelu".
    """

    name: str = "lrelu"
    gain: float | None = None
    slope: float = 0.2
    clamp: float | None = None

    def __call__(self, x: jax.Array) -> jax.Array:
        function, usual_gain = ACTIVATIONS[self.name]
        gain = usual_gain if self.gain is None else self.gain
        return function(gain, self.slope, self.clamp, x)


def filtered_lrelu(
    x: Float[Array, "*N H W C"],
    bias: Float[Array, " C"] | None,
    up_filter: np.ndarray | None,
    down_filter: np.ndarray | None,
    *,
    up: int = 1,
    down: int = 1,
    pad: resample.Pad = 0,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
) -> Float[Array, "*N H2 W2 C"]:
    """Leaky ReLU evaluated at `up` times the rate, low-passed, decimated by `down`.

    `pad` is (vertical, horizontal) padding in upsampled pixels, cropping where
    negative; `clamp` acts before `down_filter`. Raises ValueError as `upfirdn` does.
    """
    act = Activation("lrelu", gain, slope, clamp)
    resampling = {"up": up, "down": down, "pad": pad}
    return filtered(x, act, up_filter, down_filter, bias=bias, **resampling)


def filtered(
    x: Float[Array, "*N H W C"],
    function: Callable,
    up_filter: np.ndarray | None,
    down_filter: np.ndarray | None,
    *parameters: jax.Array,
    bias: Float[Array, " C"] | None = None,
    up: int = 1,
    down: int = 1,
    pad: resample.Pad = 0,
) -> Float[Array, "*N H2 W2 C"]:
    """`filtered_lrelu` with any function of single numbers, such as jnp.tanh.

    `function(x, *parameters)` keeps the shape of x and can be hashed. Arrays that it
    depends on are `parameters`, [] or [C] each, and have derivatives too; it must not
    enclose any that are traced, nor mix channels or pixels.
    """
    gain = float(up * up)
    to_fine = resample.make_resampling(
        x.shape[-3:-1], up_filter, up=up, pad=pad, gain=gain
    )
    to_coarse = resample.make_resampling(to_fine.size_out, down_filter, down=down)
    if bias is not None:
        x = precision.widened(operator.add)(x, bias)
    if parameters:
        run = functools.partial(_with_parameters, function, to_fine, to_coarse)
        return batching.over_images(lambda x: run(x, *parameters), x)
    op = _Filtered(function, to_fine, to_coarse)
    return batching.over_images(functools.partial(_apply, op), x)


@functools.partial(jax.checkpoint, static_argnums=(0, 1, 2))
def _with_parameters(function, to_fine, to_coarse, x, *parameters) -> jax.Array:
    """From parts, each with derivatives of its own; x alone is kept for them."""
    fine = function(resample.apply(to_fine, x), *parameters)
    return resample.apply(to_coarse, fine.astype(x.dtype))


@dataclasses.dataclass(frozen=True)
class _Filtered:
    act: Callable
    up: resample.Resampling
    down: resample.Resampling


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _apply(op: _Filtered, x: jax.Array) -> jax.Array:
    composed = functools.partial(_composed, banded, op)
    kernel = functools.partial(pallas_tpu.filtered, op)
    inner = {
        "polyphase": functools.partial(_in_chunks, functools.partial(_polyphase, op)),
        "banded": composed,
        "blocks": functools.partial(blocks.filtered, op),
        "depthwise": functools.partial(_composed, depthwise, op),
        "fused": kernel if pallas_tpu.fits(op, x) else composed,
    }
    return dispatch.lower("filtered", inner, x, tpu=_form_on_tpu(op, x))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pull_back(op: _Filtered, x: jax.Array, ct: jax.Array) -> jax.Array:
    composed = functools.partial(_composed_vjp, banded, op)
    by_blocks = functools.partial(blocks.filtered, op)
    by_phases = functools.partial(_polyphase_vjp, op)
    kernel = functools.partial(pallas_tpu.filtered_vjp, op)
    inner = {
        "polyphase": functools.partial(_in_chunks, by_phases),
        "banded": composed,
        "blocks": lambda x, ct: jax.vjp(by_blocks, x)[1](ct)[0],
        "depthwise": functools.partial(_composed_vjp, depthwise, op),
        "fused": kernel if pallas_tpu.fits(op, x) else composed,
    }
    return dispatch.lower("filtered", inner, x, ct, tpu=_form_on_tpu(op, x))


def _pull_back_of_parts(op: _Filtered, x: jax.Array, ct: jax.Array) -> jax.Array:
    """_pull_back from parts that have derivatives of their own: for second order."""
    _, pull = jax.vjp(op.act, resample.apply(op.up, x))
    (fine,) = pull(resample.apply(op.down.transposed(), ct))
    return resample.apply(op.up.transposed(), fine)


_apply.defvjp(
    lambda op, x: (_apply(op, x), x), lambda op, x, ct: (_pull_back(op, x, ct),)
)
_pull_back.defvjp(
    lambda op, x, ct: jax.vjp(functools.partial(_pull_back_of_parts, op), x, ct),
    lambda op, pull, ct: pull(ct),
)


def _form_on_tpu(op: _Filtered, x: jax.Array) -> str:
    return "blocks" if blocks.pays(op, x) else "banded"


def _composed(form, op: _Filtered, x: jax.Array) -> jax.Array:
    """By a module's two resamplings with the activation between them."""
    return form.resample(op.down, op.act(form.resample(op.up, x)))


def _composed_vjp(form, op: _Filtered, x: jax.Array, ct: jax.Array) -> jax.Array:
    return jax.vjp(functools.partial(_composed, form, op), x)[1](ct)[0]


def _phases(op: _Filtered) -> tuple[int, int]:
    """Phases in which the fine signal fits both rates, so that slices stay simple."""
    return tuple(math.lcm(u, d) for u, d in zip(op.up.up, op.down.down))


def _polyphase(op: _Filtered, x: jax.Array) -> jax.Array:
    phases = _phases(op)
    fine = _upsample(op, x, phases)
    fine = [[op.act(p) for p in row] for row in fine]
    out = tuple(p // d for p, d in zip(phases, op.down.down))
    coarse = polyphase.resample_grid(op.down, fine, out, by_axis=True)
    return polyphase.merge(coarse, op.down.size_out)


def _upsample(op: _Filtered, x: jax.Array, phases: tuple[int, int]):
    # Measured: by axes is 1.3 times faster with many phases, 1.1 slower with few.
    return polyphase.resample_grid(op.up, [[x]], phases, by_axis=max(op.up.up) > 2)


def _polyphase_vjp(op: _Filtered, x: jax.Array, ct: jax.Array) -> jax.Array:
    phases = _phases(op)
    fine = _upsample(op, x, phases)
    fine_ct = polyphase.resample_grid(op.down.transposed(), [[ct]], phases)
    fine_ct = [
        [jax.vjp(op.act, p)[1](c)[0] for p, c in zip(*rows)]
        for rows in zip(fine, fine_ct)
    ]
    out = tuple(p // u for p, u in zip(phases, op.up.up))
    x_ct = polyphase.resample_grid(op.up.transposed(), fine_ct, out)
    return polyphase.merge(x_ct, op.up.size_in)


# Bytes of x above which a CPU's caches are outrun and working piece by piece is faster.
_CHUNK_BYTES = 500_000
_SIDE_BY_SIDE = 16  # channels in a vector register


def _in_chunks(fn: Callable, *arrays: jax.Array) -> jax.Array:
    """fn over pieces of samples and channels, one after another if x is large."""
    fn = precision.widened(fn)
    n, h, w, c = arrays[0].shape
    image = h * w * max(arrays[0].dtype.itemsize, 4)
    if n * c * image <= _CHUNK_BYTES:
        return fn(*arrays)
    channels = min(c, max(1, _CHUNK_BYTES // image // _SIDE_BY_SIDE) * _SIDE_BY_SIDE)
    count = -(-c // channels)
    fits = [d for d in range(1, n + 1) if n % d == 0]
    fits = [d for d in fits if d * channels * image <= _CHUNK_BYTES]
    samples = max(fits, default=1)

    def add_piece(i, y):
        # Where channels do not divide, the last piece begins earlier: starts are held
        # within bounds, in both places alike.
        start = (i // count * samples, 0, 0, i % count * channels)
        pieces = [
            jax.lax.dynamic_slice(a, start, (samples, *a.shape[1:3], channels))
            for a in arrays
        ]
        piece = polyphase.separately(fn, *pieces)
        return jax.lax.dynamic_update_slice(y, piece, start)

    y = jax.eval_shape(fn, *arrays)
    total = (n // samples) * count
    return jax.lax.fori_loop(0, total, add_piece, jnp.zeros(y.shape, y.dtype))


def fault_of_kernel() -> str | None:
    """What is wrong with the "fused" form on this machine's devices, None if nothing.

    Compares both passes of it with the banded form, on images wide enough for a band of
    several blocks and with channels for two programs, one of them not full.
    """
    separable, radial = (
        filters.lowpass(12, 2, 2.5, 32, radial=radial) for radial in (False, True)
    )
    fine = filters.lowpass(24, 2, 2, 64)
    cases = ((2, separable, separable), (2, separable, radial), (4, fine, separable))
    for dtype, allowed in ((jnp.float32, 1e-3), (jnp.bfloat16, 5e-2)):
        for up, up_filter, down_filter in cases:
            rise = resample.make_resampling(
                (10, 140), up_filter, up=up, pad=up, gain=float(up * up)
            )
            fall = resample.make_resampling(rise.size_out, down_filter, down=2)
            op = _Filtered(Activation("lrelu", clamp=1.0), rise, fall)
            keys = jax.random.split(jax.random.key(0))
            x = jax.random.normal(keys[0], (1, *rise.size_in, 260), dtype)
            ct = jax.random.normal(keys[1], (1, *fall.size_out, 260), dtype)
            try:
                found = pallas_tpu.filtered(op, x), pallas_tpu.filtered_vjp(op, x, ct)
                jax.block_until_ready(found)
            except Exception as error:  # whatever a compiler or a device may say
                return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            expected = _composed(banded, op, x), _composed_vjp(banded, op, x, ct)
            for name, a, b in zip(("values", "gradients"), found, expected):
                a, b = (v.astype(jnp.float32) for v in (a, b))
                # Rounded to bfloat16, values near zero may change slope: look at all.
                off = float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))
                if not off < allowed:
                    return f"{name} are off by {off:.2g} at up {up} in {dtype.__name__}"
    return None
