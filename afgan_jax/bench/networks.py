"""Times of a configuration: of its operations, generator, updates and data."""

import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax import image_size, jax_settings
from afgan_jax.bench import clock, memory
from afgan_jax.networks import (
    alias_free,
    conv_layer,
    generator,
    half_precision,
    p4,
    sizes,
)
from afgan_jax.signal import conv_resample, nonlinearity
from afgan_jax.signal.backends import cpu_convolution
from afgan_jax.viz import plot

Wishes = Mapping[str, str] | None


def operations(
    G, D, batch: int, *, wishes: Wishes = None, **clocking
) -> Iterator[clock.Row]:
    """Rows of the convolutions and filtered nonlinearities of both networks' layers.

    Each operation once: forward, and with the gradient of all arguments ("+grad").
    wishes: as in `dispatch.wishes`.
    """
    seen, wishes = set(), wishes or {}
    options, of_gradients = cpu_convolution.compiling_for(jax.default_backend())
    make = _alias_free if G.synthesis.has_bands else _stylegan2
    for name, dtype, function, shapes in (*make(G.synthesis), *_discriminator(D)):
        key = (name, *shapes)
        if key in seen:
            continue
        seen.add(key)
        x, *rest = shapes
        keys = jax.random.split(jax_settings.key(0), len(shapes))
        arrays = [jax.random.normal(k, s) for k, s in zip(keys, ((batch, *x), *rest))]
        arrays = (half_precision.cast(arrays[0], dtype), *arrays[1:])
        whole = functools.partial(_with_gradients, function)
        trained = clock.sides(whole, of_gradients | wishes, compiler_options=options)
        runs = {name: clock.sides(function, wishes), f"{name} +grad": trained}
        for title, run in runs.items():
            yield clock.measure(title, run, lambda a=arrays: a, batch, **clocking)


def _with_gradients(function, *arrays):
    y, pull = jax.vjp(function, *arrays)
    return pull(y)


def _alias_free(synthesis):
    """(name, dtype, function, shapes without batch) of each layer's two operations."""
    for spec in synthesis.layers:
        k, size = spec.conv_kernel, spec.in_size[0]
        order = p4.ORDERS[spec.symmetry]
        inputs, outputs = order * spec.in_channels, order * spec.out_channels
        conv = functools.partial(conv_resample.conv_resample, pad=k - 1)
        kernel = (k, k, inputs, outputs)
        title = f"conv{k}x{k} {size} {inputs}-{outputs}"
        yield title, spec.dtype, conv, ((*spec.in_size, inputs), kernel)
        act = functools.partial(
            nonlinearity.filtered, **alias_free.filtering(spec, clamp=None)
        )
        grown = tuple(n + k - 1 for n in spec.in_size)
        kind = "radial" if spec.is_radial else "lrelu"
        title = f"{kind} {grown[0]}-{spec.out_size[0]} C{outputs}"
        yield title, spec.dtype, act, ((*grown, outputs),)


def _stylegan2(synthesis):
    for spec in synthesis.layers:
        if spec.is_rgb:
            continue
        k, up = spec.conv_kernel, spec.up
        conv = functools.partial(
            conv_resample.conv_resample,
            f=spec.up_filter,
            up=up,
            pad=k // 2,
            flip_weight=up > 1,
        )
        before, after = map(image_size.told, (spec.in_size, spec.out_size))
        change = f"up{up} {before}-{after}" if up > 1 else after
        title = f"conv{k}x{k} {change} {spec.in_channels}-{spec.out_channels}"
        x, w = (*spec.in_size, spec.in_channels), (spec.in_channels, spec.out_channels)
        yield title, spec.dtype, conv, (x, (k, k, *w))


def _discriminator(D):
    octaves = sizes.octaves(D.size)[::-1]
    for halvings, (before, after) in enumerate(itertools.pairwise(octaves)):
        i, o = (min(D.channel_base // min(n), D.channel_max) for n in (before, after))
        same = functools.partial(conv_resample.conv_resample, pad=1)
        rate, whole = min(D.size) / 2**halvings, min(D.size)
        dtype = half_precision.dtype_at(rate, whole, D.dtype, D.num_half_res)
        a, b = image_size.told(after), image_size.told(before)
        yield f"D conv3x3 {b} {i}-{i}", dtype, same, ((*before, i), (3, 3, i, i))
        twice = tuple(2 * n for n in after)
        # The second convolution, and the skip around both.
        for k in (3, 1) if D.architecture == "resnet" else (3,):
            down = functools.partial(
                conv_resample.conv_resample, f=conv_layer.BILINEAR, down=2, pad=k // 2
            )
            title = f"D conv{k}x{k} down2 {b}-{a} {i}-{o}"
            yield title, dtype, down, ((*twice, i), (k, k, i, o))


def synthesis(
    G, batch: int, *, wishes: Wishes = None, **options
) -> Iterator[clock.Row]:
    """The row of synthesis from ws."""
    variables = jax.jit(G.initialize)(jax_settings.key(0))
    shape = (batch, G.synthesis.num_ws, G.mapping.w_dim)
    ws = jax.random.normal(jax_settings.key(1), shape)

    def run(variables, ws):
        return G.apply(variables, ws, method=type(G).synthesize)

    run = clock.sides(run, wishes)
    yield clock.measure("synthesis", run, lambda: (variables, ws), batch, **options)


# Values of each scale; widths are factors of the config's.
SCALES = {
    "batch": (1, 2, 4, 8, 16, 32),
    "resolution": (32, 64, 128, 256),
    "width": (0.25, 0.5, 1, 2),
}


def scaling(settings: dict, batch: int, **options) -> Iterator[clock.Row]:
    """Rows of synthesis as each of SCALES grows, such as "batch 4".

    settings: of `make_generator`, for all else.
    """
    for scale, values in SCALES.items():
        for value in values:
            changes, images = {}, value if scale == "batch" else batch
            if scale == "resolution":
                changes["resolution"] = value
            elif scale == "width":
                for name in ("channel_base", "channel_max"):
                    changes[name] = round(settings["synthesis"][name] * value)
            G = generator.make_generator(**generator.changed(settings, **changes))
            for row in synthesis(G, images, **options):
                yield dataclasses.replace(row, name=f"{scale} {value:g}")


def updates(program, naive_program, D, batch, place, **options) -> Iterator[clock.Row]:
    """A training update of each phase, on images of noise, and the mean "step".

    naive_program: the same with implementation "naive". place(host arrays): puts a
    batch on the devices.
    """
    state = program.init(jax_settings.key(0))
    _, shapes, _ = memory.arguments(program, D, batch)
    data = {name: np.zeros(s.shape, s.dtype) for name, s in shapes.items()}
    size = data["image"].shape
    data["image"] = np.random.RandomState(0).randint(0, 256, size).astype(np.uint8)
    data = place(data)
    key = jax.device_put(jax_settings.key(1), program.replicated)

    def fresh():  # an update donates its state
        return jax.tree.map(jnp.copy, state), data, key

    seconds = gflop = 0.0
    for phase in program.phases:
        both = clock.Sides(*(p.updates[phase.name] for p in (program, naive_program)))
        row = clock.measure(f"update {phase.name}", both, fresh, batch, **options)
        seconds += row.seconds / phase.interval
        gflop += row.gflop / phase.interval
        yield row
    yield clock.Row("step", batch, seconds, gflop=gflop)


def data(batches, batch: int, *, seconds: float = 5.0) -> clock.Row:
    """The row of reading and decoding images, from an endless iterator of batches."""
    next(batches)
    start, spent, count = time.perf_counter(), 0.0, 0
    while count == 0 or spent < seconds:
        next(batches)
        spent, count = time.perf_counter() - start, count + 1
    return clock.Row("data", batch, spent / count)


def draw_scaling(path: str | os.PathLike, rows: list[dict], title: str) -> None:
    """Plots the time per image over each scale, with the arithmetic as a guide."""
    panels = {scale: [] for scale in SCALES}
    guides = {scale: [] for scale in SCALES}
    for row in rows:
        scale, _, value = row["name"].partition(" ")
        if scale in panels:
            panels[scale].append((float(value), row["seconds"] / row["images"]))
            guides[scale].append((float(value), row["gflop"] / row["images"]))
    for scale, points in guides.items():  # at the rate of the largest value
        rate = points[-1][1] / panels[scale][-1][1]
        guides[scale] = [(x, gflop / rate) for x, gflop in points]
    labels = {"ylabel": "seconds an image", "guide": "needed arithmetic"}
    plot.save(path, plot.log_panels(panels, guides, **labels, title=title))
