"""The choice of the implementation of an operator: TABLE and `wishes`.

The implementations of an operation agree to rounding; CPUs, GPUs and TPUs are fast with
different ones. `choose` is a pure function of operation, operator, platform, shape and
wish; `lower` applies it when a program is lowered for a platform. `wishes` asks for
implementations of all operators made in a context, such as NAIVE, XLA's own, the
baseline of `python -m afgan_jax bench`.
"""

import contextlib
import contextvars
import functools
import types
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from afgan_jax import errors
from afgan_jax.signal.backends import (
    banded,
    blocks,
    cpu_convolution,
    depthwise,
    pallas_gpu,
    pallas_tpu,
    polyphase,
    polyphase_activation,
    slices,
    xla_convolution,
)


def _composed_of(resample: Callable) -> Callable:
    """(operator, x) -> operator.down(activation(operator.up(x))), part by part."""

    def filtered(op, x: jax.Array) -> jax.Array:
        return resample(op.down, op.activation(resample(op.up, x)))

    return filtered


def _gradient_of(filtered: Callable) -> Callable:
    """(operator, x, ct) -> the gradient for x of `filtered`, by JAX."""

    def gradient(operator, x: jax.Array, ct: jax.Array) -> jax.Array:
        return jax.vjp(functools.partial(filtered, operator), x)[1](ct)[0]

    return gradient


# Filtered nonlinearities whose gradient JAX derives.
_BY_DERIVATIVE = {
    "banded": _composed_of(banded.resample),
    "blocks": blocks.filtered,
    "depthwise": _composed_of(depthwise.resample),
}
# operation: {name: function(operator, *arrays)}
IMPLEMENTATIONS: dict[str, dict[str, Callable]] = {
    "resample": {
        "polyphase": polyphase.resample,
        "banded": banded.resample,
        "depthwise": depthwise.resample,
        "slices": slices.resample,
        "slices_in_rows": functools.partial(slices.resample, store=slices.in_rows),
    },
    "filtered": {
        **_BY_DERIVATIVE,
        "polyphase": polyphase_activation.filtered,
        "slices": slices.filtered,
        "slices_in_rows": functools.partial(slices.filtered, store=slices.in_rows),
        "fused": pallas_tpu.filtered,
        "fused_gpu": pallas_gpu.filtered,
    },
    "filtered_gradient": {
        **{name: _gradient_of(filtered) for name, filtered in _BY_DERIVATIVE.items()},
        "polyphase": polyphase_activation.filtered_vjp,
        "slices": slices.filtered_vjp,
        "slices_in_rows": functools.partial(slices.filtered_vjp, store=slices.in_rows),
        "fused": pallas_tpu.filtered_vjp,
        "fused_gpu": pallas_gpu.filtered_vjp,
    },
    "conv": {
        "extra_row": cpu_convolution.conv,
        "phases": cpu_convolution.conv_by_phases,
        "xla": xla_convolution.conv,
    },
    "conv_weights": {
        "taps": cpu_convolution.weight_gradient_by_taps,
        "padded": cpu_convolution.weight_gradient_of_padded,
        "in_training": cpu_convolution.weight_gradient_in_training,
        "xla": xla_convolution.weight_gradient,
    },
}
# operation: {platform: name}. Seconds forward / with backward on 2 cores of a Xeon for
# [4, 148, 148, 256], up 2, down 2, 12 taps, float32: polyphase 0.13 / 0.29, banded 0.88
# / 2.4, depthwise 13 / 29. Estimates of the TPU compiler for a v5e, 8 such images in
# bfloat16: banded 6.0 / 10 ms, depthwise 7.1 / 15 ms, slices as in polyphase 25 ms.
# Between two convolutions, forward and backward, ms in all for a v5e | v6e: banded
# 22 | 10, blocks 22 | 10; [8, 276, 276, 64] banded 39 | 23, with axes as (W, H, N, C)
# 30 | 17, blocks 25 | 15; up 4 to [8, 276, 276, 181] 55 | 31, 63 | 31, blocks 46 | 23;
# radial [8, 148, 148, 512] banded either way 76 | 34, blocks 35 | 17; [8, 36, 36, 512]
# for a v5e 2.9 either way, blocks 3.9. So a TPU uses blocks where channels are few,
# filters radial or up is 4 (blocks.is_cheaper), and banded elsewhere.
# GB that kernels for an H100 read and write for [8, 148, 148, 256] in bfloat16, forward
# / backward: slices 1.7 / 2.1, blocks 2.3 / 3.4, banded 4.5 / 6.9; radial [8, 148, 148,
# 512] 3.2 / 5.5, 4.6 / 6.9, 16 / 23. By its instructions fused_gpu needs a third of the
# time of slices' bytes: see README.md. Nobody has timed it.
_FILTERED = {
    "cpu": "polyphase",
    "cuda": "slices",
    "tpu": "blocks",
    "default": "banded",
}
TABLE: dict[str, dict[str, str]] = {
    "resample": {"cpu": "polyphase", "cuda": "slices", "default": "banded"},
    "filtered": _FILTERED,
    "filtered_gradient": _FILTERED,
    "conv": {"cpu": "extra_row", "default": "xla"},
    "conv_weights": {"cpu": "taps", "cuda": "padded", "default": "xla"},
}
# Operations that wishes may name: XLA's own implementation of each.
NAIVE = {
    "resample": "depthwise",
    "filtered": "depthwise",
    "conv": "xla",
    "conv_weights": "padded",
}
# Operations on each sample by itself: devices need not communicate.
PER_SAMPLE = ("resample", "filtered", "filtered_gradient")
# Implementations that the compiler cannot divide among devices: the table's replace
# them for a batch that the devices do not share equally.
UNDIVIDED = ("fused", "fused_gpu")
# Those that would gather the images of several devices, and what replaces them.
GATHERING = {"in_training": "padded"}
# What replaces them where each device is known to have its arrays whole.
WHOLE = {"slices": "slices_in_rows"}
_mesh = contextvars.ContextVar[Mesh | None]("mesh", default=None)
_wishes = contextvars.ContextVar[Mapping[str, str]](
    "wishes", default=types.MappingProxyType({})
)


def choose(
    operation: str,
    operator,
    platform: str,
    shape: tuple[int, ...],
    dtype=jnp.float32,
    wish: str | None = None,
) -> str:
    """The name of the implementation, for the first array's shape [N H W C] and dtype.

    `wish` takes precedence over the table, but where a kernel does not run: "banded"
    replaces "fused" if the chip cannot hold the images, and on NVIDIA GPUs "fused" is
    "fused_gpu", which the table's replaces. Of the table's, "banded" replaces "blocks"
    if that is not cheaper, "xla" "padded" where cuDNN knows the gradient as one, and
    "phases" "extra_row" where that is faster.
    """
    if platform == "cuda" and wish in UNDIVIDED:
        wish = "fused_gpu" if pallas_gpu.is_supported(operator, dtype) else None
    name = wish or TABLE[operation].get(platform, TABLE[operation]["default"])
    if name == "fused" and not pallas_tpu.is_supported(operator, shape[-1], dtype):
        return "banded"
    if name == "blocks" and not wish and not blocks.is_cheaper(operator, shape[-1]):
        return "banded"
    if name == "padded" and not wish and xla_convolution.is_known_to_cudnn(operator):
        return "xla"
    if name == "extra_row" and not wish:
        return "phases" if cpu_convolution.is_faster_by_phases(operator) else name
    return name


def lower(operation: str, operator, *arrays: jax.Array, wish: str | None) -> jax.Array:
    """operation(operator, *arrays), as `choose` says for the platform it runs on."""
    shape, dtype = arrays[0].shape, arrays[0].dtype
    mesh = _mesh.get()
    count = 1 if mesh is None else mesh.size
    is_divided = count > 1 and shape[0] % count == 0
    is_mapped = is_divided and operation in PER_SAMPLE
    if count > 1:
        wish = GATHERING.get(wish, wish)
    if count > 1 and not is_divided and wish in UNDIVIDED:
        wish = None
    names = {
        platform: choose(operation, operator, platform, shape, dtype, wish)
        for platform in TABLE[operation]
    }
    if is_mapped or (mesh is not None and count == 1):
        names = {where: WHOLE.get(name, name) for where, name in names.items()}
    # One function for each name: JAX makes one branch for its platforms.
    functions = {
        name: functools.partial(IMPLEMENTATIONS[operation][name], operator)
        for name in names.values()
    }
    if len(functions) == 1:
        (run,) = functions.values()
    else:
        branches = {platform: functions[name] for platform, name in names.items()}
        run = functools.partial(jax.lax.platform_dependent, **branches)
    if not is_mapped:
        return run(*arrays)
    rows = PartitionSpec(mesh.axis_names)
    return jax.shard_map(
        run, mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False
    )(*arrays)


@contextlib.contextmanager
def split_over(mesh: Mesh) -> Iterator[None]:
    """Operations traced in this context compute each sample on the device that has it.

    For batches whose rows lie on the mesh's devices. Otherwise the compiler gathers
    them for a loop over samples, and cannot divide a kernel at all.
    """
    token = _mesh.set(mesh)
    try:
        yield
    finally:
        _mesh.reset(token)


@contextlib.contextmanager
def wishes(**implementations: str) -> Iterator[None]:
    """Operators made in this context get these implementations: {operation: name}.

    Decorate a function with it before jit, jax.jit(wishes(...)(function)): jit caches
    traces by function, and this makes a new one. Inner contexts take precedence over
    outer ones. Raises ValueError for an unknown operation or name.
    """
    for choice in implementations.items():
        _check(*choice)
    token = _wishes.set(_wishes.get() | implementations)
    try:
        yield
    finally:
        _wishes.reset(token)


def briefly(function: Callable) -> Callable:
    """The function with the implementations that are traced fastest.

    For what needs no pixels, such as initialisation: of a network of 256 pixels it is
    traced in a fifth of the time.
    """
    return wishes(**NAIVE)(function)


def wish(operation: str, name: str | None = None) -> str | None:
    """The implementation for a new operator: `name`, by default the context's wish.

    Raises ValueError for an unknown name.
    """
    if name is None:
        return _wishes.get().get(operation)
    _check(operation, name)
    return name


def _check(operation: str, name: str) -> None:
    errors.check_known("operation", operation, NAIVE)
    errors.check_known(
        f"implementation of {operation}", name, IMPLEMENTATIONS[operation]
    )
