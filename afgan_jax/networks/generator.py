"""Generator: mapping and synthesis, with the truncation trick."""

import dataclasses
import inspect

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from afgan_jax.networks import (
    alias_free,
    layers,
    lowpass,
    mapping,
    plan,
    schedules,
    stylegan2,
)


class Generator(nn.Module):
    """z [N z_dim], c [N c_dim] or None -> images [N R R C] in about [-1, 1].

    Variables: "params" (trained) and "buffers" (drawn once or running averages:
    freqs, phases, noise_const, w_avg, magnitude_ema). Updating the averages needs
    mutable=["buffers"] beside update_emas=True.
    """

    mapping: mapping.Mapping
    synthesis: nn.Module

    def __call__(
        self,
        z: Float[Array, "N z_dim"],
        c: Float[Array, "N c_dim"] | None = None,
        psi: float | Array = 1.0,
        cutoff: int | None = None,
        transform: Array | None = None,
        update_emas: bool = False,
        **noise,
    ) -> Float[Array, "N R R C"]:
        """`transform` is the inverse of the motion wanted of the image; see affine.

        `psi` pulls ws towards their average; `cutoff` limits that to the first ws.
        """
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
        z = jnp.zeros((1, self.mapping.z_dim))
        c = jnp.zeros((1, self.mapping.c_dim)) if self.mapping.c_dim else None
        keys = dict(zip(("params", "noise"), jax.random.split(key)))
        return dict(jax.jit(self.init)(keys, z, c))


def make_generator(
    *,
    resolution: int,
    synthesis: str = "alias_free",
    img_channels: int = 3,
    z_dim: int = 512,
    c_dim: int = 0,
    w_dim: int = 512,
    mapping_layers: int = 2,
    mapping_lr_multiplier: float = 0.01,
    w_avg_beta: float = 0.998,
    channel_base: int = 32768,
    channel_max: int = 512,
    conv_clamp: float | None = 256.0,
    architecture: str = "skip",
    input: str = "fourier_transformed",
    noise: bool = False,
    schedule: str = "flexible",
    num_layers: int = 14,
    num_critical: int | None = 2,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband_rel: float = 2**0.3,
    margin: int = 10,
    conv_kernel: int = 3,
    filter_size: int = 6,
    act_up: int = 2,
    kernel: str = "kaiser",
    radial: bool = False,
    output_scale: float = 0.25,
    magnitude_ema_beta: float | None = 0.999,
    dtype: str = "float32",
    num_half_res: int = 4,
    remat: str = "none",
    symmetry: str = "none",
) -> Generator:
    """Generator of configuration T by default.

    R: conv_kernel=1, radial=True, channel_base and channel_max doubled. The ablation of
    T that follows quarter turns: symmetry="p4" (see `groups`), channel_base and
    channel_max, then of each of 4 directions, halved. A: synthesis="stylegan2", where
    `architecture` applies, and symmetry and the arguments from `input` to
    `magnitude_ema_beta` do not. configs/ablation.py has the steps from A to R:
    synthesis="stylegan2_fourier" is StyleGAN2 with an `input`, `noise`, `margin`,
    upsampling `kernel` and normalisation of inputs (`magnitude_ema_beta`, None: none)
    of its own. `input` is one of synthesis.INPUTS, `schedule` of schedules.SCHEDULES,
    `kernel` of designs.KERNELS. The `num_half_res` highest resolutions are computed in
    `dtype`; for `remat` see `layers.REMAT`. Raises ValueError for settings that are
    unknown, impossible or do not apply.
    """
    settings = dict(locals())
    sizes = ("z_dim", "w_dim", "img_channels", "channel_base", "channel_max")
    layers.check_sizes(settings, *sizes, "conv_kernel", "filter_size", "act_up")
    bands = ("first_cutoff", "first_stopband", "last_stopband_rel")
    layers.check_above_0(settings, *bands, "mapping_lr_multiplier")
    layers.check_not_negative(settings, "c_dim", "mapping_layers", "margin")
    layers.check_precision(settings)
    make = SYNTHESES.get(synthesis)
    if make is None:
        raise ValueError(
            f"synthesis={synthesis!r} is unknown: use one of {sorted(SYNTHESES)}"
        )
    if symmetry != "none" and synthesis != "alias_free":
        raise ValueError(
            f"symmetry={symmetry!r} does not apply to synthesis={synthesis!r}, whose"
            " layers have no group axis: remove it"
        )
    network = make(settings)
    mapper = mapping.Mapping(
        z_dim,
        c_dim,
        w_dim,
        network.num_ws,
        mapping_layers,
        mapping_lr_multiplier,
        w_avg_beta,
    )
    return Generator(mapper, network)


def _alias_free(settings: dict) -> nn.Module:
    if settings["architecture"] != "orig":  # which it is, in StyleGAN2's words
        _reject_changes(settings, {"architecture"}, "synthesis")
    _check_input(settings)
    if settings["magnitude_ema_beta"] is None:
        raise ValueError("magnitude_ema_beta=None: alias-free layers need a number")
    if settings["schedule"] != "flexible":
        _reject_changes(settings, GROWTH, "schedule")
    names = inspect.signature(plan.make_plan).parameters
    return alias_free.Synthesis(
        plan.make_plan(**{name: settings[name] for name in names}),
        settings["conv_clamp"],
        settings["magnitude_ema_beta"],
        settings["output_scale"],
        settings["remat"],
        settings["input"],
    )


def _stylegan2(settings: dict) -> nn.Module:
    _reject_changes(settings, set(settings) - SHARED - STYLEGAN2, "synthesis")
    _check_architecture(settings, stylegan2.ARCHITECTURES)
    return stylegan2.Synthesis(**{name: settings[name] for name in STYLEGAN2})


def _stylegan2_fourier(settings: dict) -> nn.Module:
    options = {field.name for field in dataclasses.fields(stylegan2.Options)}
    own = STYLEGAN2 | options | {"input", "output_scale"}
    _reject_changes(settings, set(settings) - SHARED - own, "synthesis")
    _check_architecture(settings, ("orig", "skip"))  # skips of "resnet" have no margin
    _check_input(settings)
    lowpass.check(settings["kernel"])
    return stylegan2.Synthesis(
        **{name: settings[name] for name in own - options},
        options=stylegan2.Options(**{name: settings[name] for name in options}),
    )


# Settings of the mapping and of all; of StyleGAN2; of the flexible schedule alone.
SHARED = set(inspect.signature(mapping.Mapping).parameters)
SHARED |= {"synthesis", "mapping_layers", "mapping_lr_multiplier"}
STYLEGAN2 = set(stylegan2.Synthesis.__dataclass_fields__)
STYLEGAN2 -= {"parent", "name", "input", "output_scale", "options"}
GROWTH = {"num_layers", "first_cutoff", "first_stopband", "last_stopband_rel"}


def _check_input(settings: dict) -> None:
    if settings["input"] not in alias_free.INPUTS:
        raise ValueError(
            f"input={settings['input']!r} is unknown: use one of"
            f" {tuple(alias_free.INPUTS)}"
        )


def _check_architecture(settings: dict, allowed: tuple[str, ...]) -> None:
    if settings["architecture"] not in allowed:
        raise ValueError(
            f"architecture={settings['architecture']!r} is unknown: use one of"
            f" {allowed}"
        )
    schedules.octaves(settings["resolution"])


def _reject_changes(settings: dict, names: set[str], ground: str) -> None:
    """Raise ValueError if a setting that does not apply differs from its default."""
    defaults = inspect.signature(make_generator).parameters
    changed = sorted(n for n in names if settings[n] != defaults[n].default)
    if changed:
        raise ValueError(
            f"{', '.join(changed)} does not apply to {ground}="
            f"{settings[ground]!r}: remove it"
        )


SYNTHESES = {
    "alias_free": _alias_free,
    "stylegan2": _stylegan2,
    "stylegan2_fourier": _stylegan2_fourier,
}
