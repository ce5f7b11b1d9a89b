"""One jitted, donated update for each phase of training.

Updates are written for the global batch and compiled by jit over a mesh with the one
axis `data`: batches are split over it, the state is replicated, and the compiler
inserts the all-reduces. Draws depend on the seed and the step alone, so results do not
depend on the number of devices or processes.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from afgan_jax import errors, jax_settings, ranges
from afgan_jax.augment import control, pipeline
from afgan_jax.signal.backends import cpu_convolution, dispatch
from afgan_jax.training import burn_in as burn_ins
from afgan_jax.training import draws, implementations, losses, objectives, phases
from afgan_jax.training import state as states

# The buffers of the average of G: whether they are measured of its own images, at every
# MEASURE_INTERVAL-th step, or those of G. With few images the average of a network's
# weights is another network: its activations are several times as large as G's.
EMA_BUFFERS = {"copied": False, "measured": True}
MEASURE_INTERVAL = 4


def make_setup(
    G,
    D,
    *,
    augment: control.Control | None = None,
    burn_in: burn_ins.BurnIn | None = None,
    objective: str = "logistic",
    r1_gamma: float | None = None,
    r2_gamma: float | None = None,
    pl_weight: float = 0.0,
    pl_batch_shrink: int = 2,
    pl_decay: float = 0.01,
    style_mixing_prob: float = 0.0,
    blur_init_sigma: float = 0.0,
    blur_fade_kimg: float = 0.0,
    freeze_d: int = 0,
) -> objectives.Setup:
    """The networks and losses of a configuration.

    Config A mixes styles (0.9) and weights path lengths (2); config R blurs D's inputs
    at first (10 pixels, fading until 200 kimg at batch 32). `objective` is one of
    losses.ADVERSARIAL. losses.usual_r1_gamma is a first guess of `r1_gamma`; r2_gamma
    of None is r1_gamma if the objective is of pairs, as in R3GAN, else 0. The first
    `freeze_d` of D's layers, from the images on, do not train: fromrgb, then conv0,
    conv1 and skip of each block.
    Raises ValueError if `r1_gamma` is None, `augment` does not take D's images, D has
    fewer layers, or a number is out of range.
    """
    errors.check_known("losses.objective", objective, losses.ADVERSARIAL)
    objective = losses.ADVERSARIAL[objective]
    if r2_gamma is None:
        r2_gamma = r1_gamma if objective.is_paired else 0.0
    burn_in = burn_in or burn_ins.BurnIn()
    given = {k: v for k, v in locals().items() if k != "freeze_d"}
    if r1_gamma is None:
        why = "depends on the batch: give a number"
        raise errors.SettingError("losses.r1_gamma", r1_gamma, why)
    ranges.check("losses", **given)
    if "gamma" in burn_in.first and not (r1_gamma or r2_gamma):
        why = "ends at losses.r1_gamma=0 and r2_gamma=0: set one above 0"
        raise errors.SettingError("burn_in.gamma", burn_in.first["gamma"], why)
    phases.check_frozen(freeze_d, len(D.block_layers))
    if augment is not None:
        pipeline.check_images(augment.multipliers, D.size, D.img_channels)
    frozen = D.block_layers[:freeze_d]
    return objectives.Setup(noise=G.synthesis.training_options, frozen=frozen, **given)


@dataclasses.dataclass(frozen=True)
class Program:
    """Compiled training: the update of each phase, and the end of an iteration.

    init(key) -> state; updates[phase name](state, batch, key) -> (state, stats);
    finish(state) -> state; measure(state, batch, key) -> state, if there is one. The
    state passed in is donated. stats: {name: [count, sum, sum of squares]}.
    """

    phases: tuple[phases.Phase, ...]
    init: Callable
    updates: dict[str, Callable]
    finish: Callable
    batch_sharding: dict[str, NamedSharding]
    replicated: NamedSharding
    measure: Callable | None = None

    def step(self, index: int, state, batch: dict, key: jax.Array):
        """Run the phases due at iteration `index`: (state, list of stats)."""
        stats = []
        for phase in self.phases:
            if index % phase.interval == 0:
                state, more = self.updates[phase.name](state, batch, key)
                stats.append(more)
        state = self.finish(state)
        if self.measure is not None and index % MEASURE_INTERVAL == 0:
            state = self.measure(state, batch, key)
        return state, stats


def make_program(
    setup: objectives.Setup,
    *,
    batch_size: int = 32,
    microbatch: int | None = None,
    G_lr: float = 0.0025,
    D_lr: float = 0.002,
    beta2: float = 0.99,
    G_reg_interval: int | None = None,
    D_reg_interval: int | None = 16,
    ema_kimg: float = 10.0,
    ema_rampup: float | None = 0.05,
    ema_buffers: str = "copied",
    implementation: str = "xla",
    devices=None,
) -> Program:
    """Updates for all `devices` (default: every device of every process).

    `batch_size` is global, as is `microbatch`, the images computed at a time to save
    memory (None: all); gradients are averaged over the parts. A regulariser runs at
    every interval-th step (lazily), or with the main loss if its interval is None. The
    average of G has a half-life of `ema_kimg`, or of `ema_rampup` times the images
    shown if that is less. Names: EMA_BUFFERS, implementations.IMPLEMENTATIONS.
    Raises SettingError if the batch does not divide or a number is out of range.
    """
    if devices is None:  # by process, in the order of the rows of a batch
        devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    phases.check_batch(batch_size, microbatch, len(devices), setup.D.mbstd_group_size)
    rates = {"G_lr": G_lr, "D_lr": D_lr, "beta2": beta2}
    ranges.check("updates", **rates, ema_kimg=ema_kimg, ema_rampup=ema_rampup)
    microbatch = microbatch or batch_size
    intervals = {"G": G_reg_interval, "D": D_reg_interval}
    phases.check_intervals(setup, microbatch, **intervals)
    known = implementations.IMPLEMENTATIONS
    errors.check_known("updates.implementation", implementation, known)
    errors.check_known("updates.ema_buffers", ema_buffers, EMA_BUFFERS)
    measured = EMA_BUFFERS[ema_buffers]
    mesh = Mesh(np.asarray(devices), ("data",))
    rows, replicated = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    batch_sharding = {"image": rows, "label": rows}
    batch_sharding["gen_label"] = NamedSharding(mesh, P(None, "data"))
    table = phases.make_phases(**intervals)
    optimizers = _make_optimizers(setup, intervals, {"G": G_lr, "D": D_lr}, beta2)
    jitted = functools.partial(_jit_update, implementation, batch_sharding, replicated)
    networks = {"G": setup.G, "D": setup.D, "augment": setup.augment}
    first = {name: make(0) for name, make in optimizers.items()}
    create = functools.partial(states.create, optimizers=first, **networks)
    on_all = {"in_shardings": replicated, "out_shardings": replicated}
    each = ((i, p, optimizers[p.network]) for i, p in enumerate(table))
    average = {"ema_kimg": ema_kimg, "rampup": ema_rampup, "own_buffers": measured}
    finish = functools.partial(_finish, setup, batch_size, average)
    return Program(
        table,
        jax.jit(create, out_shardings=replicated),
        {p.name: jitted(_update, setup, p, o, i, microbatch, rows) for i, p, o in each},
        jax.jit(finish, donate_argnums=0, **on_all),
        batch_sharding,
        replicated,
        jitted(_measure, setup, len(table), microbatch, rows) if measured else None,
    )


def _jit_update(implementation, batch_sharding, replicated, function, *fixed):
    """The jitted function(*fixed, state, batch, key) with this implementation."""
    mesh = replicated.mesh
    options, wishes = cpu_convolution.compiling_for(mesh.devices.flat[0].platform)
    wishes = wishes | implementations.IMPLEMENTATIONS[implementation]
    update = dispatch.split_over(mesh)(dispatch.wishes(**wishes)(function))
    return jax.jit(
        functools.partial(update, *fixed),
        compiler_options=options,
        in_shardings=(replicated, batch_sharding, replicated),
        out_shardings=replicated,
        donate_argnums=0,
    )


def _make_optimizers(setup, intervals: dict, rates: dict, beta2: float) -> dict:
    """{network: its optimiser after `nimg` images, a function of these}."""

    def make(network, nimg):
        return states.make_optimizer(
            setup.burn_in.value(network + "_lr", rates[network], nimg),
            setup.burn_in.value("beta2", beta2, nimg),
            reg_interval=intervals[network],
            reg_free=phases.reg_free(setup)[network],
        )

    return {network: functools.partial(make, network) for network in rates}


def gradients(
    setup: objectives.Setup,
    phase: phases.Phase,
    models: objectives.Models,
    inputs: objectives.Inputs,
):
    """Gradients of gain * objective for the phase's network, and the Outcome."""
    objective = objectives.OBJECTIVES[phase.name]
    frozen = setup.frozen if phase.network == "D" else ()

    def loss(params):
        params = states.freeze(params, frozen)
        value, outcome = objective(setup, params, models, inputs)
        return value * phase.gain, outcome

    params = (models.G if phase.network == "G" else models.D)["params"]
    return jax.grad(loss, has_aux=True)(params)


def apply_gradients(
    state: states.TrainState,
    phase: phases.Phase,
    optimizer: optax.GradientTransformation,
    grads: dict,
) -> states.TrainState:
    """One optimiser step on the phase's network with cleaned gradients."""
    network, opt = getattr(state, phase.network), getattr(state, phase.network + "_opt")
    grads = states.clean_gradients(grads)
    with jax_settings.usual_promotion():
        updates, new_opt = optimizer.update(grads, opt, network["params"])
    if phase.is_reg:
        new_opt = states.keep_reg_free(new_opt, opt)
    params = optax.apply_updates(network["params"], updates)
    changes = {
        phase.network: network | {"params": params},
        phase.network + "_opt": new_opt,
    }
    return state.replace(**changes)


def _update(setup, phase, optimizer, index, microbatch, rows, state, batch, key):
    key = jax.random.fold_in(jax.random.fold_in(key, state.step), index)
    n = batch["image"].shape[0]
    count = n // microbatch
    group = min(setup.D.mbstd_group_size or n, microbatch)
    gen_label = batch["gen_label"][0 if phase.network == "G" else 1]
    parts = {
        "real": batch["image"].astype(jnp.float32) / 127.5 - 1,
        "real_c": batch["label"],
        "c": batch["label"] if setup.objective.is_paired else gen_label,
        **draws.latents(setup, key, n, rows),
    }
    parts = {name: draws.split(a, count, group) for name, a in parts.items()}
    keys = jax.random.split(jax.random.fold_in(key, 2), count)

    p = None if state.augment is None else state.augment["p"]

    def one(carry, part):
        total, buffers, pl_mean = carry
        arrays, key = part
        models = objectives.Models(
            state.G | {"buffers": buffers}, state.D, pl_mean, state.nimg, p
        )
        inputs = draws.inputs(setup, key, arrays)
        grads, outcome = gradients(setup, phase, models, inputs)
        total = jax.tree.map(lambda t, g: t + g / count, total, grads)
        return (total, outcome.G_buffers, outcome.pl_mean), _sums(outcome.stats)

    params = getattr(state, phase.network)["params"]
    carry = (jax.tree.map(jnp.zeros_like, params), state.G["buffers"], state.pl_mean)
    if count == 1:
        part = ({name: a[0] for name, a in parts.items()}, keys[0])
        carry, stats = one(carry, part)
    else:
        carry, stats = jax.lax.scan(one, carry, (parts, keys))
        stats = jax.tree.map(lambda s: jnp.sum(s, axis=0), stats)
    grads, buffers, pl_mean = carry
    state = state.replace(G=state.G | {"buffers": buffers}, pl_mean=pl_mean)
    if state.augment is not None:
        state = state.replace(augment=control.count_signs(state.augment, stats))
    broken = states.any_nonfinite(grads)
    stats |= _sums({f"Gradients/{phase.network}/nonfinite": broken})
    return apply_gradients(state, phase, optimizer(state.nimg), grads), stats


def _finish(setup, batch_size: int, average: dict, state):
    """The end of an iteration: update the average of G, count the images, adapt p."""
    ema_kimg = setup.burn_in.value("ema_kimg", average["ema_kimg"], state.nimg)
    beta = states.ema_beta(state.nimg, batch_size, ema_kimg, average["rampup"])
    if state.augment is not None:
        adapted = setup.augment.adapt(state.augment, state.step + 1, batch_size)
        state = state.replace(augment=adapted)
    return state.replace(
        G_ema=states.update_ema(state.G_ema, state.G, beta, average["own_buffers"]),
        step=state.step + 1,
        nimg=state.nimg + batch_size,
    )


def _measure(setup, index, microbatch, rows, state, batch, key):
    """The state with the averaged network's running averages of its own images."""
    key = jax.random.fold_in(jax.random.fold_in(key, state.step), index)
    arrays = {"z": draws.latents(setup, key, len(batch["label"]), rows)["z"]}
    arrays["c"] = batch["gen_label"][0]
    n = len(batch["label"])
    group = min(setup.D.mbstd_group_size or n, microbatch)
    z, c = (draws.split(a, n // microbatch, group)[0] for a in arrays.values())
    buffers = objectives.measured(setup, state.G_ema, z, c, key, MEASURE_INTERVAL)
    return state.replace(G_ema=state.G_ema | {"buffers": buffers})


def _sums(stats: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """[count, sum, sum of squares] of each statistic."""
    return {
        name: jnp.stack([jnp.float32(v.size), jnp.sum(v), jnp.sum(jnp.square(v))])
        for name, v in stats.items()
    }
