"""The state of a training run as one pytree, its optimisers and averages."""

import functools
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

Array = Any  # an array, or its jax.ShapeDtypeStruct or sharding in a tree of these
OptState = Any  # optax.OptState, which is no checkable type in the oldest optax


@flax.struct.dataclass
class TrainState:
    """Everything that an update changes and a checkpoint keeps."""

    step: Array  # [] iterations done
    nimg: Array  # [] real images shown
    G: dict  # {"params", "buffers"}
    D: dict  # {"params"}
    G_ema: dict  # {"params", "buffers"}: the generator to use
    G_opt: OptState
    D_opt: OptState
    pl_mean: Array  # [] running mean of path lengths
    augment: dict | None = None  # of augment.control; None if there is no augmentation


def create(key: jax.Array, G, D, optimizers: dict, augment=None) -> TrainState:
    """A fresh state; G_ema starts as a copy of G (a donated buffer may appear once)."""
    G_vars, D_vars = initialize(key, G, D)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        nimg=jnp.zeros((), jnp.int32),
        G=G_vars,
        D=D_vars,
        G_ema=jax.tree.map(jnp.copy, G_vars),
        G_opt=optimizers["G"].init(G_vars["params"]),
        D_opt=optimizers["D"].init(D_vars["params"]),
        pl_mean=jnp.zeros((), jnp.float32),
        augment=None if augment is None else augment.initial(),
    )


def initialize(key: jax.Array, G, D) -> tuple[dict, dict]:
    """Fresh variables of both networks."""
    key_g, key_d = jax.random.split(key)
    return G.initialize(key_g), D.initialize(key_d)


def to_tree(state: TrainState) -> dict:
    """The parts of a state by name, without those that are None."""
    return {name: part for name, part in vars(state).items() if part is not None}


def make_optimizer(
    lr: float | jax.Array,
    beta2: float | jax.Array = 0.99,
    reg_interval: int | None = None,
    reg_free: tuple[str, ...] = (),
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam with beta1 = 0, corrected for lazy regularisation (StyleGAN2, App. B).

    With a regulariser every n = `reg_interval` steps, lr and betas are adjusted by
    c = n / (n + 1). Parameters whose path ends in one of `reg_free` do not affect the
    regulariser: they have a second moment and step count of their own, which its phase
    leaves as they are (see `keep_reg_free`).
    """
    c = 1.0 if reg_interval is None else reg_interval / (reg_interval + 1)

    def adam():  # with beta1 = 0 Adam is bias-corrected RMSprop, and stores no mean
        scale = optax.scale_by_rms(
            beta2**c, eps, eps_in_sqrt=False, bias_correction=True
        )
        return optax.chain(scale, optax.scale_by_learning_rate(lr * c))

    def label(path, _):
        return "reg_free" if path_name(path).endswith(reg_free) else "usual"

    labels = functools.partial(jax.tree_util.tree_map_with_path, label)
    return optax.multi_transform({"usual": adam(), "reg_free": adam()}, labels)


def keep_reg_free(new: OptState, old: OptState) -> OptState:
    """`new`, but with the moments of the `reg_free` parameters as in `old`."""
    inner = dict(new.inner_states) | {"reg_free": old.inner_states["reg_free"]}
    return new._replace(inner_states=inner)


def freeze(params: dict, layers: tuple[str, ...]) -> dict:
    """`params`, of which those below the paths `layers` get gradients of zero.

    Adam with beta1 = 0 then leaves them bit for bit as they are.
    """
    frozen = tuple(f"{layer}/" for layer in layers)

    def value(path, p):
        return jax.lax.stop_gradient(p) if path_name(path).startswith(frozen) else p

    return jax.tree_util.tree_map_with_path(value, params)


def clean_gradients(grads):
    """NaN becomes 0 and +-inf +-1e5; large finite values stay."""
    return jax.tree.map(
        lambda g: jnp.nan_to_num(g, nan=0.0, posinf=1e5, neginf=-1e5), grads
    )


def any_nonfinite(grads) -> jax.Array:
    """float32 []: 1 if the gradients have a NaN or infinity, else 0."""
    finite = [jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(grads)]
    return jnp.float32(~jnp.all(jnp.stack(finite)))


def ema_beta(
    nimg: jax.Array, batch_size: int, ema_kimg, rampup: float | None
) -> jax.Array:
    """Decay per step for a half-life of `ema_kimg`, or `rampup` * nimg if shorter."""
    half_life = jnp.float32(1000.0 * ema_kimg)
    if rampup is not None:
        half_life = jnp.minimum(half_life, rampup * nimg.astype(jnp.float32))
    return 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8))


def update_ema(ema: dict, G: dict, beta: jax.Array, own_buffers: bool = False) -> dict:
    """Parameters are averaged, buffers copied or left as they are."""
    params = jax.tree.map(
        lambda p, e: p + beta.astype(p.dtype) * (e - p), G["params"], ema["params"]
    )
    buffers = (ema if own_buffers else G)["buffers"]
    return {"params": params, "buffers": jax.tree.map(jnp.copy, buffers)}


def abstract(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    """The shapes and dtypes of a tree's leaves, with this sharding."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def path_name(path: tuple) -> str:
    """The path of a leaf as "G/params/mapping/fc0/weight"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
