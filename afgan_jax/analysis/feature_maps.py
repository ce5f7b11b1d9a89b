"""Feature maps of a generator: within it, and of each alias-free layer alone.

Functions of (variables, z, c, transform) that return a map for each layer, [N H W C] in
float32 at best; `transform` ([3 3]) moves what the layers see, as `synthesis` has it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.networks import alias_free, generator, layers, p4, plan
from afgan_jax.signal import fourier


def layers_of(G: generator.Generator) -> tuple:
    """The LayerSpecs of a plan, or the `pieces` of a StyleGAN2 synthesis."""
    return G.synthesis.layers if hasattr(G.synthesis, "layers") else pieces(G)


def has_plan(layers: Sequence) -> bool:
    """Whether these have bands and filters: those of StyleGAN2 have not."""
    return isinstance(layers[0], plan.LayerSpec)


def designed(specs: Sequence[plan.LayerSpec]) -> tuple[plan.LayerSpec, ...]:
    """The layers with the filters of the papers: Kaiser, twofold oversampling.

    They are radial if those of any layer are.
    """
    radial = any(spec.radial for spec in specs)
    return tuple(
        dataclasses.replace(spec, kernel="kaiser", act_up=2, radial=radial)
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
        return [layers.cast(found[name]["__call__"][0], "float32") for name in names]

    return maps


class Piece(NamedTuple):
    """A part of a network that gives a map of so many channels, at so many samples."""

    name: str
    out_channels: int
    rate: float  # a canvas width


def pieces(G: generator.Generator) -> tuple[Piece, ...]:
    """The parts of a StyleGAN2 synthesis, such as b8/conv0, as they follow each other.

    Their maps are the canvas and the margin around it.
    """
    margin = G.synthesis.options.margin
    z = jnp.zeros((1, G.mapping.z_dim))
    c = jnp.zeros((1, G.mapping.c_dim)) if G.mapping.c_dim else None
    variables = jax.eval_shape(G.initialize, jax.random.key(0))
    found = jax.eval_shape(by_name(G), variables, z, c)
    order = sorted(found, key=lambda n: (found[n].shape[1], n != "input", n))
    return tuple(
        Piece(name, found[name].shape[3], float(found[name].shape[2] - 2 * margin))
        for name in order
    )


def by_name(G: generator.Generator) -> Callable:
    """{name: map} of all parts of a synthesis, as a function of (variables, z, c)."""

    def maps(variables, z, c):
        ws = G.apply(variables, z, c, method="map")
        options = {"method": "synthesize", "capture_intermediates": True}
        _, state = G.apply(variables, ws, **options)
        calls = flax.traverse_util.flatten_dict(state["intermediates"]["synthesis"])
        return {
            "/".join(path): layers.cast(found[0], "float32")
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
            layer = alias_free.SynthesisLayer(spec, G.synthesis.conv_clamp)
            y = layer.apply(own, x, ws[:, G.synthesis.input_ws + place])
            found.append(layers.cast(y, "float32"))
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
