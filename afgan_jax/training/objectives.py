"""What each training phase minimises, given all random draws: OBJECTIVES.

An objective maps (setup, params, models, inputs) to (loss, Outcome): `params` belong to
the network that the phase trains, `models` holds all else that it reads. Means are over
the batch given, which under jit is the global one.

Sources: StyleGAN2 (lazy regularisation, style mixing), Alias-Free GAN (App. F), R3GAN
(Sec. 2, pairs and R2).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from afgan_jax.augment import control
from afgan_jax.networks import generator
from afgan_jax.training import burn_in as burn_ins
from afgan_jax.training import losses

REAL, FAKE = 1, 2  # folded into the keys of augmentation


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """The networks and constants of the losses; see `make_setup`."""

    G: Any  # networks.generator.Generator
    D: Any  # networks.discriminator.Discriminator
    r1_gamma: float
    pl_weight: float
    pl_batch_shrink: int
    pl_decay: float
    style_mixing_prob: float
    blur_init_sigma: float
    blur_fade_kimg: float
    noise: dict  # keyword arguments of synthesis: {"noise": "random"} or {}
    augment: control.Control | None = None
    frozen: tuple[str, ...] = ()  # paths of D's layers that do not train
    objective: losses.Adversarial = losses.ADVERSARIAL["logistic"]
    r2_gamma: float = 0.0
    burn_in: burn_ins.BurnIn = burn_ins.BurnIn()


class Models(NamedTuple):
    """Variables of both networks and the scalars that losses depend on."""

    G: dict  # {"params", "buffers"}
    D: dict  # {"params"}
    pl_mean: jax.Array  # []
    nimg: jax.Array  # [] images shown so far
    p: jax.Array | None = None  # [] strength of augmentation, if there is any


class Inputs(NamedTuple):
    """One batch of N with every random draw a phase needs."""

    real: jax.Array  # [N H W C] in [-1, 1]
    real_c: jax.Array  # [N c_dim]
    z: jax.Array  # [N z_dim]
    c: jax.Array  # [N c_dim]
    z_mix: jax.Array  # [N z_dim] second latents of style mixing
    mix_from: jax.Array  # [] first ws taken from z_mix; L for none
    pl_normal: jax.Array  # [N // pl_batch_shrink H W C] or []
    key: jax.Array  # for noise inputs and augmentation


class Outcome(NamedTuple):
    """What a phase returns besides gradients."""

    G_buffers: dict
    pl_mean: jax.Array
    stats: dict[str, jax.Array]  # name -> one value per sample


def g_main(setup: Setup, params: dict, models: Models, inputs: Inputs):
    """Gmain: f(-D(G(z))), of pairs f(D(x) - D(G(z)))."""
    variables = {"params": params, "buffers": models.G["buffers"]}
    images, _ = generate(setup, variables, inputs)
    fake = _discriminator(setup, models.D, models, inputs, FAKE)(images, inputs.c)
    real = None
    if setup.objective.is_paired:
        discriminate = _discriminator(setup, models.D, models, inputs, REAL)
        real = discriminate(inputs.real, inputs.real_c)
    loss = setup.objective.G(fake, real)
    stats = _score_stats(setup, fake) | {"Loss/G/loss": loss}
    return jnp.mean(loss), Outcome(models.G["buffers"], models.pl_mean, stats)


def g_reg(setup: Setup, params: dict, models: Models, inputs: Inputs):
    """Greg: path length regularisation; its gradient flows through the mean too."""
    count = inputs.pl_normal.shape[0]
    variables = {"params": params, "buffers": models.G["buffers"]}
    few = inputs._replace(
        z=inputs.z[:count], z_mix=inputs.z_mix[:count], c=inputs.c[:count]
    )
    ws, _ = _ws(setup, variables, few, update_emas=False)
    lengths = losses.path_lengths(
        lambda ws: _synthesize(setup, variables, ws, inputs.key)[0],
        ws,
        inputs.pl_normal,
    )
    mean = models.pl_mean + setup.pl_decay * (jnp.mean(lengths) - models.pl_mean)
    penalty = jnp.square(lengths - mean)
    reg = penalty * setup.pl_weight
    stats = {"Loss/pl_penalty": penalty, "Loss/G/reg": reg}
    mean = jax.lax.stop_gradient(mean)
    return jnp.mean(reg), Outcome(models.G["buffers"], mean, stats)


def d_main(setup: Setup, params: dict, models: Models, inputs: Inputs):
    """Dmain: f(D(G(z))) + f(-D(x)), of pairs f(D(G(z)) - D(x)).

    Only where D's main loss is are G's running averages updated.
    """
    return _train_d(setup, params, models, inputs, main=True, reg=False)


def d_reg(setup: Setup, params: dict, models: Models, inputs: Inputs):
    """Dreg: R1 and R2 where weighted, gamma/2 |d D(x) / dx|^2.

    The derivatives go through blur and augmentation.
    """
    return _train_d(setup, params, models, inputs, main=False, reg=True)


def g_both(setup: Setup, params: dict, models: Models, inputs: Inputs):
    """Gboth: Gmain and, if weighted, Greg in one phase."""
    loss, outcome = g_main(setup, params, models, inputs)
    if setup.pl_weight == 0:
        return loss, outcome
    inputs = inputs._replace(key=jax.random.fold_in(inputs.key, 1))
    reg, regularised = g_reg(setup, params, models, inputs)
    stats = outcome.stats | regularised.stats
    return loss + reg, regularised._replace(stats=stats)


def d_both(setup: Setup, params: dict, models: Models, inputs: Inputs):
    """Dboth: Dmain, R1 and R2 in one phase, sharing the passes over the images."""
    return _train_d(setup, params, models, inputs, main=True, reg=True)


OBJECTIVES = {
    "Gmain": g_main,
    "Greg": g_reg,
    "Gboth": g_both,
    "Dmain": d_main,
    "Dreg": d_reg,
    "Dboth": d_both,
}


def generate(setup: Setup, variables: dict, inputs: Inputs, update_emas: bool = False):
    """Images [N H W C] of inputs.z with style mixing, and G's buffers afterwards."""
    ws, buffers = _ws(setup, variables, inputs, update_emas)
    variables = variables | {"buffers": buffers}
    return _synthesize(setup, variables, ws, inputs.key, update_emas)


def measured(setup: Setup, variables: dict, z, c, key, updates: int) -> dict:
    """G's buffers after so many updates by images of z and c."""
    G = generator.faster(setup.G, updates)
    _, changed = G.apply(
        variables,
        z,
        c if c.shape[-1] else None,
        update_emas=True,
        mutable=["buffers"],
        rngs={"noise": key},
        **setup.noise,
    )
    return changed["buffers"]


def _train_d(
    setup: Setup, params: dict, models: Models, inputs: Inputs, *, main: bool, reg: bool
):
    """D's main loss, its regularisers, or both."""
    r1_gamma, r2_gamma = (setup.r1_gamma, setup.r2_gamma) if reg else (0.0, 0.0)
    judge = functools.partial(_judge, setup, params, models, inputs)
    fake = real = None
    buffers, regs, stats = models.G["buffers"], {}, {}
    if main or r2_gamma:
        images, changed = generate(setup, models.G, inputs, update_emas=main)
        if main:
            buffers = jax.lax.stop_gradient(changed)
        images = jax.lax.stop_gradient(images)
        fake, regs["r2"] = judge(FAKE, images, inputs.c, r2_gamma)
    if main or r1_gamma:
        real, regs["r1"] = judge(REAL, inputs.real, inputs.real_c, r1_gamma)
    terms = []
    if main:
        terms.append(setup.objective.D(fake, real))
        stats["Loss/D/loss"] = terms[0]
    regs = {name: reg for name, reg in regs.items() if reg is not None}
    if regs:
        terms.append(sum(reg for _, reg in regs.values()))
        stats["Loss/D/reg"] = terms[-1]
        stats |= {f"Loss/{name}_penalty": value for name, (value, _) in regs.items()}
    stats |= _score_stats(setup, fake, real)
    return jnp.mean(sum(terms)), Outcome(buffers, models.pl_mean, stats)


def _judge(setup, params, models, inputs, draw: int, images, c, gamma: float):
    """(logits [N], (penalty [N], what it adds to the loss [N]) or None)."""
    discriminate = _discriminator(setup, {"params": params}, models, inputs, draw)
    if gamma == 0:
        return discriminate(images, c), None
    penalty, logits = losses.gradient_penalty(lambda x: discriminate(x, c), images)
    weight = setup.burn_in.value("gamma", gamma, models.nimg) / 2
    return logits, (penalty, penalty * weight)


def _ws(setup: Setup, variables: dict, inputs: Inputs, update_emas: bool):
    c = inputs.c if inputs.c.shape[-1] else None
    method = type(setup.G).map
    ws, changed = setup.G.apply(
        variables,
        inputs.z,
        c,
        update_emas=update_emas,
        method=method,
        mutable=["buffers"],
    )
    if setup.style_mixing_prob > 0:
        other = setup.G.apply(variables, inputs.z_mix, c, method=method)
        keep = jnp.arange(ws.shape[1], dtype=jnp.int32) < inputs.mix_from
        ws = jnp.where(keep[None, :, None], ws, other)
    return ws, changed["buffers"]


def _synthesize(setup: Setup, variables: dict, ws, key, update_emas: bool = False):
    images, changed = setup.G.apply(
        variables,
        ws,
        update_emas=update_emas,
        method=type(setup.G).synthesize,
        mutable=["buffers"],
        rngs={"noise": key},
        **setup.noise,
    )
    return images, changed["buffers"]


def _discriminator(
    setup: Setup, variables: dict, models: Models, inputs: Inputs, draw: int
) -> Callable:
    """(images, c) -> logits [N]: blur, augment, then D.

    `draw`, REAL or FAKE, chooses the random augmentations.
    """
    sigma = losses.blur_sigma(models.nimg, setup.blur_init_sigma, setup.blur_fade_kimg)

    def discriminate(images, c):
        if setup.blur_init_sigma:
            images = losses.blur(images, sigma, setup.blur_init_sigma)
        if setup.augment is not None:
            key = jax.random.fold_in(inputs.key, draw)
            images = setup.augment.augment(key, images, models.p)
        return setup.D.apply(variables, images, c if c.shape[-1] else None)

    return discriminate


def _score_stats(setup: Setup, fake, real=None) -> dict[str, jax.Array]:
    """Of logits of generated and of real images, None where there are none."""
    logits = {"fake": fake, "real": real}
    stats = {f"Loss/scores/{k}": v for k, v in logits.items() if v is not None}
    if setup.objective.is_paired and len(stats) < 2:
        return stats
    margins = zip(logits, setup.objective.margins(fake, real), strict=True)
    return stats | {f"Loss/signs/{k}": jnp.sign(v) for k, v in margins if v is not None}
