"""Augmentation within training: what D is shown, and that p follows D."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from training import collectives

from afgan_jax.augment import control
from afgan_jax.networks import discriminator
from afgan_jax.training import losses, objectives, step
from afgan_jax.training import state as states

N, SIZE = 4, 12
RNG = np.random.default_rng(0)
WEIGHTS, REAL, FAKE = (
    jnp.asarray(RNG.standard_normal((N, SIZE, SIZE, 3)), jnp.float32) for _ in range(3)
)


class Linear:
    """A discriminator whose logits are sums of weighted pixels."""

    def apply(self, variables, images, c):
        return jnp.sum(images * WEIGHTS * variables["params"]["scale"], axis=(1, 2, 3))


class Constant:
    """A generator that returns FAKE, times its one parameter."""

    def apply(self, variables, x, c=None, *, method, **_):
        if method == "map":
            return jnp.zeros((N, 2, 1)), {"buffers": {}}
        return FAKE * variables["params"]["scale"], {"buffers": {}}

    map, synthesize = "map", "synthesize"


ADAPTIVE = control.make_control(mode="ada")
PARAMS = {"scale": jnp.ones(())}


@functools.cache
def gradients(name: str, blur: float):
    """Of a phase with these stand-ins for networks, at p = 0.9."""
    setup = objectives.Setup(
        G=Constant(),
        D=Linear(),
        r1_gamma=2.0,
        pl_weight=0,
        pl_batch_shrink=2,
        pl_decay=0.01,
        style_mixing_prob=0,
        blur_init_sigma=blur,
        blur_fade_kimg=1.0,
        noise={},
        augment=ADAPTIVE,
    )
    G, D = {"params": PARAMS, "buffers": {}}, {"params": PARAMS}
    models = objectives.Models(G, D, jnp.zeros(()), jnp.zeros(()), jnp.float32(0.9))
    none = jnp.zeros((N, 0))

    @jax.jit
    def compute(key):
        inputs = objectives.Inputs(
            REAL, none, none, none, none, jnp.int32(2), none, key
        )
        value = functools.partial(objectives.OBJECTIVES[name], setup)
        grads, outcome = jax.grad(value, has_aux=True)(PARAMS, models, inputs)
        return grads["scale"], outcome.stats

    return compute


def run(name: str, blur: float = 0.0, seed: int = 0):
    """The gradient with respect to the one parameter, and the statistics."""
    return gradients(name, blur)(jax.random.key(seed))


def logits(images):
    return np.asarray(Linear().apply({"params": {"scale": 1.0}}, images, None))


@jax.jit
def seen(images, draw):
    key = jax.random.fold_in(jax.random.key(0), draw)
    return ADAPTIVE.augment(key, images, jnp.float32(0.9))


@pytest.mark.slow
def test_D_is_shown_real_and_generated_images_augmented_by_draws_of_their_own():
    _, stats = run("Dmain")
    for kind, images, draw in (
        ("real", REAL, objectives.REAL),
        ("fake", FAKE, objectives.FAKE),
    ):
        found = stats[f"Loss/scores/{kind}"]
        np.testing.assert_allclose(found, logits(seen(images, draw)), atol=1e-3)
        assert np.abs(found - logits(images)).min() > 1e-2
    _, other = run("Dmain", seed=1)
    assert np.abs(other["Loss/scores/real"] - stats["Loss/scores/real"]).min() > 1e-2


def test_generator_learns_through_the_augmentation():
    gradient, stats = run("Gmain")
    expected = logits(seen(FAKE, objectives.FAKE))
    np.testing.assert_allclose(stats["Loss/scores/fake"], expected, atol=1e-3)
    # Scaling FAKE scales what is linear in it: all but what colours add.
    h = 1e-2
    ends = [
        np.log1p(np.exp(-logits(seen(FAKE * s, objectives.FAKE)).astype(float))).mean()
        for s in (1 + h, 1 - h)
    ]
    assert gradient == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=2e-2)


def test_r1_is_of_the_image_before_augmentation():
    _, stats = run("Dreg")
    back = jax.grad(lambda x: jnp.sum(seen(x, objectives.REAL) * WEIGHTS))(REAL)
    expected = np.sum(np.square(np.asarray(back, np.float64)), axis=(1, 2, 3))
    np.testing.assert_allclose(stats["Loss/r1_penalty"], expected, rtol=1e-4)


def test_images_are_blurred_before_they_are_augmented():
    _, stats = run("Dmain", blur=2.0)
    blurred = losses.blur(REAL, jnp.float32(2.0), 2.0)
    expected = logits(seen(blurred, objectives.REAL))
    np.testing.assert_allclose(stats["Loss/scores/real"], expected, atol=1e-3)


@functools.cache
def make_setup(**augment):
    sizes = {"resolution": 16, "channel_base": 64, "channel_max": 4}
    G = tiny.make_generator(
        **sizes, z_dim=4, w_dim=4, num_layers=3, num_critical=1, margin=4
    )
    D = discriminator.make_discriminator(**sizes, mbstd_group_size=2)
    ada = control.make_control(**augment)
    return step.make_setup(G, D, r1_gamma=0.1, augment=ada)


ADA = {"mode": "ada", "p": 0.5, "interval": 3, "adjust_kimg": 0.24}


def make_program(devices: int = 1, **augment):
    one = jax.devices()[:devices]
    setup = make_setup(**augment)
    return step.make_program(setup, batch_size=8, D_reg_interval=2, devices=one)


def batch_of(index: int):
    images = np.random.default_rng(index).integers(0, 256, (8, 16, 16, 3), np.uint8)
    return {
        "image": images,
        "label": np.zeros((8, 0), np.float32),
        "gen_label": np.zeros((2, 8, 0), np.float32),
    }


def train(program, steps: int):
    """p after each step, and the state and statistics of all."""
    state = program.init(jax.random.key(0))
    key = jax.device_put(jax.random.key(1), program.replicated)
    ps, stats = [], []
    for index in range(steps):
        batch = jax.device_put(batch_of(index), program.batch_sharding)
        state, more = program.step(index, state, batch, key)
        ps.append(float(state.augment["p"]))
        stats += jax.device_get(more)
    return ps, jax.device_get(state), stats


@pytest.mark.slow
def test_p_follows_the_signs_of_every_phase_that_sees_real_images():
    """Dmain at every step, Dreg at every other; p moves after each third."""
    ps, state, stats = train(make_program(**ADA, preset="color"), 5)  # compiles faster
    signs = [s["Loss/signs/real"] for s in stats if "Loss/signs/real" in s]
    assert len(signs) == 8
    count, total, _ = sum(signs[:5])
    moved = 0.5 + 0.1 * np.sign(total / count - 0.6)
    np.testing.assert_allclose(ps, [0.5, 0.5, moved, moved, moved], rtol=1e-6)
    np.testing.assert_array_equal(state.augment["signs"], sum(signs[5:])[:2])


@pytest.mark.slow
def test_one_and_eight_devices_augment_alike():
    one, eight = (train(make_program(n, **ADA), 3) for n in (1, 8))
    assert one[0] == eight[0]
    for a, b in zip(one[2], eight[2], strict=True):
        for name, sums in a.items():
            np.testing.assert_allclose(sums, b[name], rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_devices_keep_their_images_to_themselves():
    """Only gradients and statistics pass between them, as without augmentation."""
    program = make_program(8, **ADA)
    collectives.assert_only_gradients_and_statistics_pass(program, batch_of(0))


def test_no_augmentation_leaves_no_trace():
    """The state has the leaves it always had, so older runs go on."""
    program = make_program()
    state = jax.eval_shape(program.init, jax.random.key(0))
    assert state.augment is None and "augment" not in states.to_tree(state)
    leaves = jax.tree.leaves(jax.eval_shape(program.init, jax.random.key(0)))
    assert len(leaves) == len(jax.tree.leaves(states.to_tree(state)))
    key = jax.eval_shape(jax.random.key, 0)
    lowered = program.updates["Dmain"].lower(state, batch_of(0), key)
    assert "afgan_jax/augment/" not in lowered.as_text(debug_info=True)
    assert states.TrainState(**states.to_tree(state)) == state


def test_images_too_small_for_a_filter_are_refused():
    with pytest.raises(ValueError, match="imgfilter needs .* not 16x16"):
        make_setup(mode="ada", preset="bgcf")
