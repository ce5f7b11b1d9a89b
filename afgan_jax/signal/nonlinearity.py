"""Pointwise nonlinearities, plain and filtered.

A pointwise function of a sampled signal creates frequencies without bound. The
filtered form evaluates it at a raised sampling rate and low-passes the result before
decimating (Alias-Free GAN, Sec. 3.2 and App. D): y = D act(U (x + bias)), with U and D
resamplings. Only x is kept for the derivative; U x is computed again.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from afgan_jax.signal import banded, polyphase, resample

ACTIVATIONS: dict[str, tuple[Callable, float]] = {  # name: (function(x, slope), gain)
    "linear": (lambda x, slope: x, 1.0),
    "relu": (lambda x, slope: jax.nn.relu(x), math.sqrt(2)),
    "lrelu": (lambda x, slope: jnp.where(x >= 0, x, x * slope), math.sqrt(2)),
    "tanh": (lambda x, slope: jnp.tanh(x), 1.0),
    "sigmoid": (lambda x, slope: jax.nn.sigmoid(x), 1.0),
    "elu": (lambda x, slope: jax.nn.elu(x), 1.0),
    "selu": (lambda x, slope: jax.nn.selu(x), 1.0),
    "softplus": (lambda x, slope: jax.nn.softplus(x), 1.0),
    "swish": (lambda x, slope: jax.nn.silu(x), math.sqrt(2)),
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
        y = function(x, self.slope) * (usual_gain if self.gain is None else self.gain)
        if self.clamp is None:
            return y
        return jnp.where(jnp.abs(y) < self.clamp, y, jnp.sign(y) * self.clamp)


def filtered_lrelu(
    x: Float[Array, "N H W C"],
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
) -> Float[Array, "N H2 W2 C"]:
    """Leaky ReLU evaluated at `up` times the rate, low-passed, decimated by `down`.

    `pad` is (vertical, horizontal) padding in upsampled pixels, cropping where
    negative; `clamp` acts before `down_filter`. Raises ValueError as `upfirdn` does.
    """
    act = Activation("lrelu", gain, slope, clamp)
    return filtered(act, x, bias, up_filter, down_filter, up=up, down=down, pad=pad)


def filtered(
    act: Callable, x, bias, up_filter, down_filter, *, up=1, down=1, pad=0
) -> Float[Array, "N H2 W2 C"]:
    """`filtered_lrelu` for any hashable elementwise function `act`."""
    size = x.shape[1:3]
    gain = float(up * up)
    to_fine = resample.make_resampling(size, up_filter, up=up, pad=pad, gain=gain)
    to_coarse = resample.make_resampling(to_fine.size_out, down_filter, down=down)
    if bias is not None:
        x = x + bias
    return _apply(_Filtered(act, to_fine, to_coarse), x)


@dataclasses.dataclass(frozen=True)
class _Filtered:
    act: Callable
    up: resample.Resampling
    down: resample.Resampling


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _apply(op: _Filtered, x: jax.Array) -> jax.Array:
    return jax.lax.platform_dependent(
        x,
        cpu=lambda x: _in_chunks(functools.partial(_polyphase, op), x),
        default=functools.partial(_banded, op),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pull_back(op: _Filtered, x: jax.Array, ct: jax.Array) -> jax.Array:
    return jax.lax.platform_dependent(
        x,
        ct,
        cpu=lambda x, ct: _in_chunks(functools.partial(_polyphase_vjp, op), x, ct),
        default=lambda x, ct: jax.vjp(functools.partial(_banded, op), x)[1](ct)[0],
    )


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


def _banded(op: _Filtered, x: jax.Array) -> jax.Array:
    return banded.resample(op.down, op.act(banded.resample(op.up, x)))


def _phases(op: _Filtered) -> tuple[int, int]:
    """Phases in which the fine signal fits both rates, so that slices stay simple."""
    return tuple(math.lcm(u, d) for u, d in zip(op.up.up, op.down.down))


def _polyphase(op: _Filtered, x: jax.Array) -> jax.Array:
    phases = _phases(op)
    fine = polyphase.resample_grid(op.up, [[x]], phases)
    fine = [[op.act(p) for p in row] for row in fine]
    out = tuple(p // d for p, d in zip(phases, op.down.down))
    coarse = polyphase.resample_grid(op.down, fine, out)
    return polyphase.merge(coarse, op.down.size_out)


def _polyphase_vjp(op: _Filtered, x: jax.Array, ct: jax.Array) -> jax.Array:
    phases = _phases(op)
    fine = polyphase.resample_grid(op.up, [[x]], phases)
    fine_ct = polyphase.resample_grid(op.down.transposed(), [[ct]], phases)
    fine_ct = [
        [jax.vjp(op.act, p)[1](c)[0] for p, c in zip(*rows)]
        for rows in zip(fine, fine_ct)
    ]
    out = tuple(p // u for p, u in zip(phases, op.up.up))
    x_ct = polyphase.resample_grid(op.up.transposed(), fine_ct, out)
    return polyphase.merge(x_ct, op.up.size_in)


# Bytes of x above which a CPU's caches are outrun and working piece by piece is faster.
_CHUNK_BYTES = 1_000_000


def _in_chunks(fn: Callable, *arrays: jax.Array) -> jax.Array:
    """fn over pieces of samples and channels, one after another if x is large."""
    n, h, w, c = arrays[0].shape
    image = h * w * arrays[0].dtype.itemsize
    if n * c * image <= _CHUNK_BYTES:
        return fn(*arrays)
    channels = _divisor(c, _CHUNK_BYTES // image, at_least=16)
    samples = _divisor(n, _CHUNK_BYTES // (image * channels), at_least=1)

    def split(a):
        a = a.reshape(n // samples, samples, *a.shape[1:3], c // channels, channels)
        a = a.transpose(0, 4, 1, 2, 3, 5)
        return a.reshape(-1, *a.shape[2:])

    y = jax.lax.map(lambda pieces: fn(*pieces), tuple(map(split, arrays)))
    y = y.reshape(n // samples, c // channels, *y.shape[1:])
    return y.transpose(0, 2, 3, 4, 1, 5).reshape(n, *y.shape[3:5], c)


def _divisor(n: int, limit: int, at_least: int) -> int:
    """Largest divisor of n within limit, but no smaller than `at_least` (else n)."""
    fits = [d for d in range(1, n + 1) if n % d == 0 and at_least <= d <= limit]
    smallest = next(d for d in range(1, n + 1) if n % d == 0 and d >= min(at_least, n))
    return max(fits, default=smallest)
