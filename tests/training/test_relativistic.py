"""The relativistic objective with R1 and R2, against differences in float64."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training import test_step

from afgan_jax import errors
from afgan_jax.augment import control
from afgan_jax.training import burn_in as burn_ins
from afgan_jax.training import losses, objectives, phases, step

N, SIZE, GAMMAS = 6, 3, {"r1_gamma": 0.7, "r2_gamma": 0.4}
RNG = np.random.RandomState(0)
X, Z, W = RNG.randn(N, SIZE, SIZE, 1), RNG.randn(N, 4), RNG.randn(4, SIZE * SIZE)
A, B = RNG.randn(SIZE * SIZE, 5), RNG.randn(5)


class G:
    """Images tanh(z W) [N H W 1], for params {"W"}."""

    synthesis = types.SimpleNamespace(num_ws=2)

    def apply(self, variables, x, c=None, *, method, **_):
        if method == "map":
            return jnp.stack([x, x], axis=1), {"buffers": {}}
        images = jnp.tanh(x[:, 0] @ variables["params"]["W"])
        return images.reshape(-1, SIZE, SIZE, 1), {"buffers": {}}

    map, synthesize = "map", "synthesize"


class D:
    """Logits tanh(x A) B [N], for params {"A", "B"}."""

    def apply(self, variables, images, c):
        a, b = variables["params"]["A"], variables["params"]["B"]
        return jnp.tanh(images.reshape(len(images), -1) @ a) @ b


def setup(**changes) -> objectives.Setup:
    given = {
        "G": G(),
        "D": D(),
        "pl_weight": 0,
        "pl_batch_shrink": 2,
        "pl_decay": 0.01,
        "style_mixing_prob": 0,
        "blur_init_sigma": 0,
        "blur_fade_kimg": 0,
        "noise": {},
        "objective": losses.ADVERSARIAL["relativistic"],
    }
    return objectives.Setup(**given | GAMMAS | changes)


def gradients(name: str, *, nimg: float = 0, **changes):
    """(gradients, Outcome) of a phase in float64."""
    none, zero = jnp.zeros((N, 0)), jnp.zeros(())
    G_params, D_params = {"W": W}, {"A": A, "B": B}
    models = objectives.Models(
        jax.tree.map(jnp.asarray, {"params": G_params, "buffers": {}}),
        jax.tree.map(jnp.asarray, {"params": D_params}),
        pl_mean=zero,
        nimg=zero + nimg,
    )
    inputs = objectives.Inputs(
        jnp.asarray(X), none, jnp.asarray(Z), none, none, 2, none, jax.random.key(0)
    )
    phase = phases.Phase(name, name[0])
    return step.gradients(setup(**changes), phase, models, inputs)


def logits(images, a, b):
    return np.tanh(images.reshape(N, -1) @ a) @ b


def penalty(images, a, b):
    """Mean of |d logit / d image|^2: a sum over units, written out."""
    slope = (1 - np.tanh(images.reshape(N, -1) @ a) ** 2) * b
    return np.mean(np.sum((slope @ a.T) ** 2, axis=1))


def loss(name: str, w, a, b) -> float:
    """Of the paper's formulas, in numpy."""
    real, fake = X, np.tanh(Z @ w)
    margin = logits(fake, a, b) - logits(real, a, b)
    if name[0] == "G":
        return np.mean(np.log1p(np.exp(-margin)))
    main = np.mean(np.log1p(np.exp(margin))) if name != "Dreg" else 0
    r1 = GAMMAS["r1_gamma"] / 2 * penalty(real, a, b)
    r2 = GAMMAS["r2_gamma"] / 2 * penalty(fake, a, b)
    return main + (r1 + r2 if name != "Dmain" else 0)


def differences(name: str, arrays: dict, which: str):
    """The derivatives of `loss` with respect to arrays[which], each by itself."""
    found, h = np.zeros_like(arrays[which]), 1e-5
    for index in np.ndindex(found.shape):
        ends = []
        for sign in (1, -1):
            moved = arrays[which].copy()
            moved[index] += sign * h
            ends.append(loss(name, **arrays | {which: moved}))
        found[index] = (ends[0] - ends[1]) / (2 * h)
    return found


@pytest.mark.parametrize("name", ["Gmain", "Gboth", "Dmain", "Dreg", "Dboth"])
def test_losses_and_gradients_are_those_of_the_formulas_in_float64(name, float64):
    grads, outcome = gradients(name)
    arrays = {"w": W, "a": A, "b": B}
    stats = {key: np.mean(value) for key, value in outcome.stats.items()}
    total = stats.get(f"Loss/{name[0]}/loss", 0) + stats.get("Loss/D/reg", 0)
    assert total == pytest.approx(loss(name, **arrays), rel=1e-12)
    for key, grad in grads.items():
        assert grad.dtype == np.float64
        expected = differences(name, arrays, key.lower())
        np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-8)


def test_only_differences_of_logits_count(float64):
    # An offset of all logits changes neither loss nor gradient: it is drawn back.
    class Offset(D):
        def apply(self, variables, images, c):
            return super().apply(variables, images, c) + 3.0

    for name in ("Gmain", "Dboth"):
        usual, moved = gradients(name), gradients(name, D=Offset())
        for key, grad in usual[0].items():
            np.testing.assert_allclose(moved[0][key], grad, rtol=1e-9, atol=1e-12)
    signs = "Loss/signs/real"
    np.testing.assert_array_equal(moved[1].stats[signs], usual[1].stats[signs])
    assert np.ptp(usual[1].stats[signs])  # some pairs each way


def test_r2_is_there_with_the_logistic_loss_as_well(float64):
    logistic = losses.ADVERSARIAL["logistic"]
    both, r1 = (
        gradients("Dreg", objective=logistic, r2_gamma=gamma) for gamma in (0.4, 0.0)
    )
    added = differences("Dreg", {"w": W, "a": A, "b": B}, "a") - r1[0]["A"]
    np.testing.assert_allclose(both[0]["A"] - r1[0]["A"], added, rtol=1e-5, atol=1e-8)
    assert "Loss/r2_penalty" in both[1].stats and "Loss/r2_penalty" not in r1[1].stats


def test_r2_is_as_r1_where_pairs_are_judged_unless_said_otherwise():
    made = test_step.make_setup
    assert made(objective="relativistic").r2_gamma == 0.5
    assert made(objective="relativistic", r2_gamma=0.0).r2_gamma == 0
    assert made().r2_gamma == 0
    with pytest.raises(errors.SettingError, match="logistic, relativistic"):
        made(objective="hinge")


@pytest.mark.slow
def test_pairs_have_the_label_of_the_real_image():
    program = step.make_program(
        test_step.make_setup(objective="relativistic"),
        batch_size=test_step.BATCH,
        D_reg_interval=None,
        devices=jax.devices()[:1],
    )
    batch = test_step.batch_of(0)
    other = batch | {"gen_label": batch["gen_label"][:, ::-1]}
    assert (other["gen_label"] != batch["gen_label"]).any()
    swapped = batch | {"label": batch["label"][::-1].copy()}
    ends = []
    for each in (batch, other, swapped):
        state = program.init(jax.random.key(0))
        state, _ = program.step(0, state, each, jax.random.key(1))
        ends.append(jax.device_get((state.G, state.D)))
    jax.tree.map(np.testing.assert_array_equal, ends[0], ends[1])
    affine = ends[0][0]["params"]["mapping"]
    same = jax.tree.map(np.array_equal, affine, ends[2][0]["params"]["mapping"])
    assert not all(jax.tree.leaves(same))


# Burn-in


def test_settings_of_a_burn_in_follow_half_a_cosine():
    burn_in = burn_ins.make_burn_in(kimg=2, beta2=0.9)
    for nimg, share in (
        (0, 0),
        (500, (1 - 2**-0.5) / 2),
        (1000, 0.5),
        (2000, 1),
        (9000, 1),
    ):
        expected = 0.9 + (0.99 - 0.9) * share
        assert burn_in.value("beta2", 0.99, nimg) == pytest.approx(expected, rel=1e-6)
    assert burn_in.value("G_lr", 0.002, 7) == 0.002  # not an array: compiled in


def test_gamma_of_a_burn_in_weighs_both_penalties(float64):
    burn_in = burn_ins.make_burn_in(kimg=1, gamma=7.0)
    begun, ended = (gradients("Dreg", burn_in=burn_in, nimg=n)[0] for n in (0, 1000))
    alike = gradients("Dreg", r1_gamma=7.0, r2_gamma=7.0)[0]
    np.testing.assert_allclose(begun["A"], alike["A"], rtol=1e-6)
    np.testing.assert_allclose(ended["A"], gradients("Dreg")[0]["A"], rtol=1e-6)


@functools.cache
def program(kimg: float, **updates):
    first = {"G_lr": 0.02, "D_lr": 0.01, "beta2": 0.5, "ema_kimg": 0.0} if kimg else {}
    burn_in = burn_ins.make_burn_in(kimg=kimg, **first)
    return step.make_program(
        test_step.make_setup(burn_in=burn_in, objective="relativistic"),
        batch_size=test_step.BATCH,
        D_reg_interval=2,
        devices=jax.devices()[:1],
        **updates,
    )


@pytest.mark.slow
def test_optimizers_and_averages_begin_as_the_burn_in_says():
    # For so long that its first step is the first value of all four settings.
    long = test_step.run(program(1e6), 1)[0]
    first = program(0, G_lr=0.02, D_lr=0.01, beta2=0.5, ema_kimg=0.0)
    # Two programs; Adam magnifies the rounding of small gradients.
    test_step.assert_same_states(long, test_step.run(first, 1)[0], 1e-4)


@pytest.mark.slow
def test_optimizers_and_averages_end_as_set():
    start = test_step.run(program(0), 1)[0]
    ended = test_step.run(program(1e-3), 1, jax.device_put(start), first=1)[0]
    usual = test_step.run(program(0), 1, jax.device_put(start), first=1)[0]
    test_step.assert_same_states(ended, usual, 1e-4)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"G_lr": 0.01}, "burn_in.G_lr=0.01 begins a burn-in of no length"),
        ({"kimg": -1}, "burn_in.kimg=-1 must be at least 0"),
        ({"kimg": 1, "beta2": 1.0}, "burn_in.beta2=1.0 must be at least 0 and below 1"),
    ],
)
def test_impossible_burn_ins_are_refused(values, words):
    with pytest.raises(errors.SettingError, match=words):
        burn_ins.make_burn_in(**values)


def test_a_gamma_that_ends_at_nothing_is_refused():
    burn_in = burn_ins.make_burn_in(kimg=1, gamma=7.0)
    made = test_step.make_setup()
    with pytest.raises(errors.SettingError, match="burn_in.gamma=7.0 ends at losses"):
        step.make_setup(made.G, made.D, burn_in=burn_in, r1_gamma=0.0)


def test_adaptive_augmentation_follows_the_signs_of_pairs(float64):
    stats = {"Loss/signs/real": jnp.asarray([6.0, 4.0, 6.0])}
    assert set(gradients("Dmain")[1].stats) >= {"Loss/signs/real", "Loss/signs/fake"}
    assert "Loss/signs/real" not in gradients("Gmain")[1].stats  # only D's phases count
    assert "Loss/signs/real" not in gradients("Dreg", r2_gamma=0.0)[1].stats
    state = control.count_signs(control.make_control(mode="ada").initial(), stats)
    np.testing.assert_array_equal(state["signs"], [6, 4])
