"""Feature maps of a generator: within it, and of each alias-free layer alone.

Functions of (variables, z, c, transform) that return a map for each layer, [N H W C] in
float32 at best; `transform` ([3 3]) moves what the layers see, as `synthesis` has it.
"""

import dataclasses
from collections.abc import Callable, Sequence

import flax
import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.networks import alias_free, generator, half_precision, p4, plan
from afgan_jax.signal import fourier


def designed(specs: Sequence[plan.LayerSpec]) -> tuple[plan.LayerSpec, ...]:
    """The layers with the filters of the papers: Kaiser, twofold oversampling.

    They are radial if those of any layer are.
    """
    radial = any(spec.radial for spec in specs)
    return tuple(
        dataclasses.replace(spec, lowpass="kaiser", act_up=2, radial=radial)
        for spec in specs
    )


def within(G: generator.Generator) -> Callable:
    """The maps of the Fourier features and of all layers, as they follow each other."""
    names = ["input", *(spec.name for spec in G.synthesis.layers)]

    def maps(variables, z, c, transform):
        ws = G.apply(variables, z, c, method="map")
        _, state = G.apply(
            variables, ws, transform, method="synthesize", capture_intermediates=True
        )
        found = state["intermediates"]["synthesis"]
        return [
            half_precision.cast(found[name]["__call__"][0], "float32") for name in names
        ]

    return maps


def by_name(G: generator.Generator) -> Callable:
    """{name: map} of all parts of a synthesis, as a function of (variables, z, c)."""

    def maps(variables, z, c):
        ws = G.apply(variables, z, c, method="map")
        options = {"method": "synthesize", "capture_intermediates": True}
        _, state = G.apply(variables, ws, **options)
        calls = flax.traverse_util.flatten_dict(state["intermediates"]["synthesis"])
        return {
            "/".join(path): half_precision.cast(found[0], "float32")
            for (*path, what), found in calls.items()
            if path and what == "__call__" and getattr(found[0], "ndim", 0) == 4
        }

    return maps


def alone(G: generator.Generator, specs: Sequence[plan.LayerSpec]) -> Callable:
    """The maps of layers of G, each given exact waves instead of a layer's output.

    `specs` are some of G's, perhaps with other filters. The waves fill the band of the
    layer's input and are as strong as what it was trained on.
    """
    places = {spec.name: i for i, spec in enumerate(G.synthesis.layers)}

    def maps(variables, z, c, transform):
        ws = G.apply(variables, z, c, method="map")
        found = []
        for spec in specs:
            own = {part: variables[part]["synthesis"][spec.name] for part in variables}
            place = places[spec.name]
            key = jax.random.key(place + 1)
            x = _waves(key, spec, transform)
            x = x * jnp.sqrt(2 * own["buffers"]["magnitude_ema"])
            x = p4.replicate(x, spec.symmetry)
            x = jnp.broadcast_to(x, (len(z), *x.shape[1:]))
            own_settings = G.synthesis.conv_clamp, G.synthesis.magnitude_ema_beta
            layer = alias_free.SynthesisLayer(spec, *own_settings)
            y = layer.apply(own, x, ws[:, G.synthesis.input_ws + place])
            found.append(half_precision.cast(y, "float32"))
        return found

    return maps


def plain_waves(G: generator.Generator, variables: dict) -> np.ndarray:
    """[H W C]: the waves of the Fourier features, not moved, before they are mixed."""
    first, drawn = G.synthesis.layers[0], variables["buffers"]["synthesis"]["input"]
    band = first.in_band
    waves = drawn["freqs"][None], drawn["phases"][None]
    found = fourier.evaluate_waves(*waves, first.in_size, band.rate, band.cutoff)
    return np.asarray(found[0])


def _waves(key, spec, transform):
    """[1 H W I]: one wave a channel, of at most 95 % of the cutoff.

    At the cutoff itself critical sampling has no room to fade waves out.
    """
    band = spec.in_band
    waves = fourier.sample_waves(key, spec.in_channels, 0.95 * band.cutoff)
    waves = fourier.transform_waves(*waves, transform[None])
    return fourier.evaluate_waves(*waves, spec.in_size, band.rate, band.cutoff)
