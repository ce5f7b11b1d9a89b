"""Generator: mapping and synthesis, with the truncation trick."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax import errors
from afgan_jax.networks import alias_free, protocol, stylegan2
from afgan_jax.networks import mapping as mappings
from afgan_jax.signal.backends import dispatch


class Generator(nn.Module):
    """z [N z_dim], c [N c_dim] or None -> images [N H W C] in about [-1, 1].

    Variables: "params" (trained) and "buffers" (freqs, phases and noise_const, drawn
    once; w_avg and magnitude_ema, running averages). To update the averages, pass
    update_emas=True and mutable=["buffers"].
    """

    mapping: mappings.Mapping
    synthesis: protocol.SynthesisNetwork

    def __call__(
        self,
        z: Float[Array, "N z_dim"],
        c: Float[Array, "N c_dim"] | None = None,
        psi: float | Array = 1.0,
        cutoff: int | None = None,
        transform: Array | None = None,
        update_emas: bool = False,
        **noise,
    ) -> Float[Array, "N H W C"]:
        """For `psi` and `cutoff` see Mapping, for `transform` see FourierInput."""
        ws = self.mapping(z, c, psi, cutoff, update_emas)
        return self.synthesis(ws, transform, update_emas, **noise)

    def map(self, z, c=None, psi=1.0, cutoff=None, update_emas=False):
        """ws [N L w_dim] of z and c; apply with method=Generator.map."""
        return self.mapping(z, c, psi, cutoff, update_emas)

    def synthesize(self, ws, transform=None, update_emas=False, **noise):
        """Images of ws; apply with method=Generator.synthesize."""
        return self.synthesis(ws, transform, update_emas, **noise)

    def initialize(self, key: jax.Array) -> dict:
        """Fresh variables {"params", "buffers"}."""
        z, c = (
            jnp.zeros((1, size), jnp.float32)
            for size in (self.mapping.z_dim, self.mapping.c_dim)
        )
        c = c if self.mapping.c_dim else None
        keys = dict(zip(("params", "noise"), jax.random.split(key)))
        return dict(jax.jit(dispatch.briefly(self.init))(keys, z, c))


# kind of synthesis network: the function whose arguments are its settings
SYNTHESES = {
    "alias_free": alias_free.make_synthesis,
    "stylegan2": stylegan2.make_synthesis,
    "stylegan2_fourier": stylegan2.make_fourier_synthesis,
}
DEFAULT_KIND = "alias_free"


def make_generator(
    mapping: Mapping[str, Any], synthesis: Mapping[str, Any]
) -> Generator:
    """The generator of these settings; configs/ablation.py has the steps from A to R.

    mapping: arguments of mapping.make_mapping. synthesis: "kind", one of SYNTHESES, and
    arguments of that function. Raises SettingError for an impossible setting, and
    TypeError for one that the function does not take.
    """
    settings = {"kind": DEFAULT_KIND, **synthesis}
    with errors.naming("synthesis"):
        errors.check_known("kind", settings["kind"], SYNTHESES)
        network = SYNTHESES[settings.pop("kind")](**settings)
    with errors.naming("mapping"):
        return Generator(mappings.make_mapping(network.num_ws, **mapping), network)


BETAS = ("w_avg_beta", "magnitude_ema_beta")


def faster(G: Generator, updates: int) -> Generator:
    """G whose running averages move in one update as far as G's in so many."""

    def betas(of) -> dict:
        found = {name: getattr(of, name, None) for name in BETAS}
        return {name: b**updates for name, b in found.items() if b is not None}

    synthesis = G.synthesis.clone(
        layers=tuple(dataclasses.replace(s, **betas(s)) for s in G.synthesis.layers),
        **betas(G.synthesis),
    )
    return G.clone(mapping=G.mapping.clone(**betas(G.mapping)), synthesis=synthesis)


def changed(settings: Mapping[str, Any], **synthesis: Any) -> dict[str, Any]:
    """The arguments of make_generator with these settings of the synthesis network."""
    return {**settings, "synthesis": {**settings["synthesis"], **synthesis}}
