"""Which inner form computes an operation, chosen where it is lowered for a backend.

The forms of an operation are functions of the same arrays that agree to rounding; CPUs,
GPUs and TPUs prefer opposite ones. TABLE says which is taken; AFGAN_FORM in the
environment says otherwise, for experiments: `filtered=banded,resample=banded`, or
`naive` for what XLA offers by itself, the baseline of `python -m afgan_jax bench`.
"""

import contextlib
import contextvars
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping

import jax
from jax.sharding import Mesh, PartitionSpec

_log = logging.getLogger(__name__)

# operation: {platform: form}. Seconds forward / with backward on 2 cores of a Xeon for
# [4, 148, 148, 256], up 2, down 2, 12 taps, float32: polyphase 0.13 / 0.29, banded 0.88
# / 2.4, depthwise 13 / 29. Estimates of the TPU compiler for a v5e, 8 such images in
# bfloat16: banded 6.0 / 10 ms, depthwise 7.1 / 15 ms, slices as in polyphase 25 ms.
# Between two convolutions, both directions, ms of the chain for a v5e | v6e: banded
# 22 | 10, blocks 22 | 10; [8, 276, 276, 64] banded 39 | 23, with axes as (W, H, N, C)
# 30 | 17, blocks 25 | 15; up 4 to [8, 276, 276, 181] 55 | 31, 63 | 31, blocks 46 | 23;
# radial [8, 148, 148, 512] banded either way 76 | 34, blocks 35 | 17; [8, 36, 36, 512]
# for a v5e 2.9 either way, blocks 3.9. So a TPU takes blocks where channels are few,
# filters radial or up is 4 (blocks.pays).
TABLE: dict[str, dict[str, str]] = {
    "resample": {"cpu": "polyphase", "default": "banded"},
    "filtered": {"cpu": "polyphase", "default": "banded"},
    "conv": {"cpu": "taller", "default": "xla"},
    "conv_weights": {"cpu": "taps", "default": "xla"},
}
FORMS = {
    "resample": ("polyphase", "banded", "depthwise"),
    "filtered": ("polyphase", "banded", "blocks", "depthwise", "fused"),
    "conv": ("taller", "xla"),
    "conv_weights": ("taps", "padded", "xla"),
}
NAIVE = {
    "resample": "depthwise",
    "filtered": "depthwise",
    "conv": "xla",
    "conv_weights": "padded",
}
# Operations on one sample at a time: devices that share a batch need not talk.
PER_SAMPLE = ("resample", "filtered")
# Forms that the compiler cannot divide among devices, and what is taken in their place
# for a batch that does not lie on the devices in equal parts.
INSTEAD = {"fused": "banded"}
_mesh = contextvars.ContextVar[Mesh | None]("mesh", default=None)
# What is in force besides, the later before the earlier: of `prefer`, of AFGAN_FORM, of
# `override`.
_preferred: dict[str, str] = {}
_forced: dict[str, str] = {}


def lower(
    operation: str, forms: Mapping[str, Callable], *arrays: jax.Array, **table: str
):
    """forms[name](*arrays) with the name that the platform at hand calls for.

    `table` goes before TABLE, for choices by shape: {platform: form}.
    """
    assert set(forms) == set(FORMS[operation]), operation
    environment = _from_environment(os.environ.get("AFGAN_FORM", ""))
    chosen = _preferred | environment | _forced
    mesh = _mesh.get()
    divides = mesh is not None and arrays[0].shape[0] % mesh.size == 0
    if operation in chosen:
        name = chosen[operation]
        if mesh is not None and not divides:
            name = INSTEAD.get(name, name)
        run = forms[name]
    else:
        names = TABLE[operation] | table
        branches = {platform: forms[name] for platform, name in names.items()}
        run = functools.partial(jax.lax.platform_dependent, **branches)
    if not divides or operation not in PER_SAMPLE:
        return run(*arrays)
    rows = PartitionSpec(mesh.axis_names)
    return jax.shard_map(
        run, mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False
    )(*arrays)


@contextlib.contextmanager
def split_over(mesh: Mesh) -> Iterator[None]:
    """Operations traced in this context leave each device its own samples.

    For batches that lie on the mesh's devices in rows. Left to itself the compiler
    gathers them for a loop over samples, and cannot divide a kernel at all.
    """
    token = _mesh.set(mesh if mesh.size > 1 else None)
    try:
        yield
    finally:
        _mesh.reset(token)


@contextlib.contextmanager
def prefer(**chosen: str) -> Iterator[None]:
    """Takes these forms, whatever the platform, where nothing else is asked for.

    For what is traced in this context: always the same for the same function.
    """
    with _within(_preferred, chosen):
        yield


@contextlib.contextmanager
def override(**chosen: str) -> Iterator[None]:
    """Takes the form of each operation named, whatever the platform, in this context.

    What was compiled before and within is forgotten. Raises ValueError as `parse` does.
    """
    with _within(_forced, chosen):
        jax.clear_caches()
        try:
            yield
        finally:
            jax.clear_caches()


@contextlib.contextmanager
def _within(choices: dict[str, str], more: dict[str, str]) -> Iterator[None]:
    _check(more)
    before = dict(choices)
    choices.update(more)
    try:
        yield
    finally:
        choices.clear()
        choices.update(before)


def parse(text: str) -> dict[str, str]:
    """{operation: form} of "operation=form,...", or of "naive".

    Raises ValueError for an unknown operation or form.
    """
    if text == "naive":
        return dict(NAIVE)
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    chosen = {operation: form for operation, _, form in pairs}
    _check(chosen)
    return chosen


@functools.cache
def _from_environment(text: str) -> dict[str, str]:
    chosen = parse(text)
    if chosen:
        _log.warning("AFGAN_FORM=%s: inner forms %s", text, chosen)
    return chosen


def _check(chosen: Mapping[str, str]) -> None:
    for operation, form in chosen.items():
        if operation not in FORMS:
            raise ValueError(
                f"AFGAN_FORM: there is no operation {operation!r}: use naive, or"
                f" OPERATION=FORM with one of {', '.join(FORMS)}"
            )
        if form not in FORMS[operation]:
            raise ValueError(
                f"AFGAN_FORM: {operation}={form!r} is unknown: use one of"
                f" {', '.join(FORMS[operation])}"
            )
