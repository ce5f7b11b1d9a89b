"""Feature maps of a generator, and of its alias-free layers isolated from each other.

Functions of (variables, z, c, transform) that return a map [N H W C] of each layer in
float32; `transform` ([3 3]) is the user transform of the input.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax import jax_settings
from afgan_jax.networks import alias_free, generator, half_precision, p4, plan
from afgan_jax.signal import fourier


def designed(specs: Sequence[plan.LayerSpec]) -> tuple[plan.LayerSpec, ...]:
    """The layers with the filters of the paper: Kaiser, twofold oversampling.

    All are radial if any layer's are.
    """
    radial = any(spec.radial for spec in specs)
    return tuple(
        dataclasses.replace(spec, lowpass="kaiser", act_up=2, radial=radial)
        for spec in specs
    )


def intermediates(
    G: generator.Generator, variables, z, c, transform=None
) -> Mapping[str, Any]:
    """What the layers of the synthesis network return and sow, by name."""
    ws = G.apply(variables, z, c, method="map")
    return _intermediates(G, variables, ws, transform)


def _intermediates(G, variables, ws, transform) -> Mapping[str, Any]:
    motion = {} if transform is None else {"transform": transform}
    options = motion | {"method": "synthesize", "capture_intermediates": True}
    _, state = G.apply(variables, ws, **options)
    return state["intermediates"]["synthesis"]


def in_network(G: generator.Generator) -> Callable:
    """The maps of the Fourier features and of all layers, in order."""
    names = ["input", *(spec.name for spec in G.synthesis.layers)]

    def maps(variables, z, c, transform):
        found = by_name(G)(variables, z, c, transform)
        return [found[name] for name in names]

    return maps


def by_name(G: generator.Generator) -> Callable:
    """{name: map} of all modules of a synthesis network."""
    of = of_ws(G)

    def maps(variables, z, c, transform=None):
        return of(variables, G.apply(variables, z, c, method="map"), transform)

    return maps


def of_ws(G: generator.Generator) -> Callable:
    """As `by_name`, a function of (variables, ws, transform)."""

    def maps(variables, ws, transform=None):
        found = _intermediates(G, variables, ws, transform)
        calls = flax.traverse_util.flatten_dict(found)
        return {
            "/".join(path): half_precision.cast(found[0], "float32")
            for (*path, what), found in calls.items()
            if path and what == "__call__" and getattr(found[0], "ndim", 0) == 4
        }

    return maps


def isolated(G: generator.Generator, specs: Sequence[plan.LayerSpec]) -> Callable:
    """The maps of layers of G, each given exact waves instead of a layer's output.

    specs: some of G's, possibly with other filters. The waves fill the band of the
    layer's input and have the magnitude of its training.
    """
    places = {spec.name: i for i, spec in enumerate(G.synthesis.layers)}

    def maps(variables, z, c, transform):
        ws = G.apply(variables, z, c, method="map")
        found = []
        for spec in specs:
            own = {part: variables[part]["synthesis"][spec.name] for part in variables}
            place = places[spec.name]
            x = _waves(jax_settings.key(place + 1), spec, transform)
            x = x * jnp.sqrt(2 * own["buffers"]["magnitude_ema"])
            x = p4.replicate(x, spec.symmetry)
            x = jnp.broadcast_to(x, (len(z), *x.shape[1:]))
            settings = G.synthesis.conv_clamp, G.synthesis.magnitude_ema_beta
            layer = alias_free.SynthesisLayer(spec, *settings)
            y = layer.apply(own, x, ws[:, G.synthesis.input_ws + place])
            found.append(half_precision.cast(y, "float32"))
        return found

    return maps


def plain_waves(G: generator.Generator, variables: dict) -> np.ndarray:
    """[H W C]: the unmoved waves of the Fourier features, before they are mixed."""
    first, drawn = G.synthesis.layers[0], variables["buffers"]["synthesis"]["input"]
    band = first.in_band
    waves = drawn["freqs"][None], drawn["phases"][None]
    with jax_settings.transfers():
        found = fourier.evaluate_waves(*waves, first.in_size, band.rate, band.cutoff)
        return jax.device_get(found[0])


def _waves(key, spec, transform):
    """[1 H W I]: a wave for each channel, of at most 95 % of the cutoff.

    At the cutoff itself critical sampling leaves no transition band.
    """
    band = spec.in_band
    waves = fourier.sample_waves(key, spec.in_channels, 0.95 * band.cutoff)
    waves = fourier.transform_waves(*waves, transform[None])
    return fourier.evaluate_waves(*waves, spec.in_size, band.rate, band.cutoff)
