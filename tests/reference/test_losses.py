"""Training phases, a whole iteration, the optimiser and the averages, as recorded.

The recorded program sums the gradients of its sub-batches; here they are averaged, so
the sums are formed in this file from the same `gradients` and `apply_gradients`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from afgan_jax.augment import control
from afgan_jax.interop import names as published
from afgan_jax.networks import discriminator, generator
from afgan_jax.training import losses, objectives, phases, step
from afgan_jax.training import state as states
from reference import official

INDEX = official.index("losses")
PHASES = [c for c in INDEX["cases"] if c.get("kind") != "full_iteration"]
ITERATIONS = [c for c in INDEX["cases"] if c.get("kind") == "full_iteration"]
INIT_SIGMA, FADE_KIMG = 10.0, 25.0  # of every recorded blur; elsewhere sigma is 0
STAT_TOLERANCE = 3e-5  # absolute and relative


def case_id(case):
    return f"{case['config']}/{case['key']}"


@functools.cache
def arrays(config: str) -> official.Arrays:
    return official.Arrays("losses", f"{config}.npz")


@functools.cache
def recorded_setup(config: str) -> objectives.Setup:
    entry = INDEX["configs"][config]
    G_settings = published.settings(entry["G_kwargs"])
    if config == "stylegan2":
        G_settings["synthesis"] = "stylegan2"
    D_settings = published.settings(entry["D_kwargs"])
    loss = entry["loss_kwargs"]
    return objectives.Setup(
        G=generator.make_generator(**G_settings),
        D=discriminator.make_discriminator(**D_settings, mbstd_layout="interleaved"),
        r1_gamma=loss["r1_gamma"],
        pl_weight=loss.get("pl_weight", 0),
        pl_batch_shrink=2,
        pl_decay=0.01,
        style_mixing_prob=0.9,  # whether it happens is an input: mix_from
        blur_init_sigma=INIT_SIGMA,
        blur_fade_kimg=FADE_KIMG,
        noise={},  # the recorded runs had constant noise
    )


@functools.cache
def compiled_gradients(config: str, name: str):
    """Gradients of the mean (gain 1), the Outcome, and G's images."""
    setup = recorded_setup(config)
    phase = phases.Phase(name, name[0])

    @jax.jit
    def run(models, inputs):
        grads, outcome = step.gradients(setup, phase, models, inputs)
        if name not in ("Gmain", "Dmain"):
            return grads, outcome, None
        update = name == "Dmain"
        images, _ = objectives.generate(setup, models.G, inputs, update_emas=update)
        return grads, outcome, images

    return run


def network(config: str, name: str) -> dict:
    tree = published.variables(arrays(config).under(f"{name}/"))
    return jax.tree.map(jnp.asarray, tree)


def recorded_models(config: str, nimg: float) -> objectives.Models:
    mean = INDEX["configs"][config]["pl_mean_initial"]
    D = {"params": network(config, "D")["params"]}
    return objectives.Models(
        network(config, "G"), D, jnp.float32(mean), jnp.float32(nimg)
    )


def recorded_inputs(config, real_rows, z_rows, pl_normal=None, z_mix=None, mix=None):
    a, setup = arrays(config), recorded_setup(config)
    real = official.nhwc(a["in/real_uint8"][real_rows]).astype(np.float32) / 127.5 - 1
    z = a["in/z"][z_rows]
    if pl_normal is None:
        pl_normal = np.zeros((2, 3, *real.shape[1:3]), np.float32)
    return objectives.Inputs(
        real=real,
        real_c=a["in/real_c"][real_rows].astype(np.float32),
        z=z,
        c=a["in/gen_c"][z_rows].astype(np.float32),
        z_mix=z if z_mix is None else z_mix,
        mix_from=jnp.int32(setup.G.synthesis.num_ws if mix is None else mix),
        pl_normal=official.nhwc(pl_normal),
        key=jax.random.key(0),
    )


def nimg_of(case) -> float:
    """Images shown, such that the ramp gives the case's sigma (0: past the ramp)."""
    return case["cur_nimg"] if case.get("blur_init_sigma") else 1000 * FADE_KIMG


@pytest.mark.parametrize("case", PHASES, ids=case_id)
def test_phase_gives_the_recorded_losses_and_gradients(case):
    assert case["phase"] in objectives.OBJECTIVES, f"no runner for {case['phase']!r}"
    config = case["config"]
    a = arrays(config)
    key = case["key"]

    def optional(name):
        return a[f"{key}/{name}"] if f"{key}/{name}" in a else None

    rows = slice(0, INDEX["configs"][config]["batch"])
    inputs = recorded_inputs(
        config,
        rows,
        rows,
        optional("pl_noise_normal"),
        optional("z2"),
        case.get("style_mixing_cutoff"),
    )
    models = recorded_models(config, nimg_of(case))
    grads, outcome, images = compiled_gradients(config, case["phase"])(models, inputs)

    assert_stats(outcome.stats, a.under(f"{key}/stat/"))
    assert_gradients(grads, a.under(f"{key}/grad/"), case, case["gain"])
    for name, value in a.under(f"{key}/G_buffer_after/").items():
        actual = official.leaf(outcome.G_buffers, name)
        official.assert_close(actual, value, 1e-5, name)
    if optional("gen_img") is not None:
        official.assert_close(official.nchw(images), a[f"{key}/gen_img"], 3e-4, "image")
    if "pl_mean_after" in case:
        assert outcome.pl_mean == pytest.approx(case["pl_mean_after"], rel=3e-5)


def assert_stats(actual: dict, recorded: dict):
    assert set(actual) == set(recorded)
    for name, value in recorded.items():
        np.testing.assert_allclose(
            actual[name], value, rtol=STAT_TOLERANCE, atol=STAT_TOLERANCE, err_msg=name
        )


def assert_gradients(grads, recorded: dict, case: dict, gain: float, outliers=1e4):
    """The rule of README-training: relative to the array and to the largest of all."""
    noise = case.get("f32_deviation", {}).get(
        "gradients_vs_largest_gradient_of_case", 0
    )
    usual = {n: np.where(np.abs(g) < outliers, g, 0) for n, g in recorded.items()}
    largest = max(np.abs(g).max() for g in usual.values())
    names = set()
    for name, value in recorded.items():
        actual = np.asarray(official.leaf(grads, name), np.float64) * gain
        expected = published.to_ours(name, value)
        assert actual.shape == expected.shape, name
        allowed = 1e-3 * np.abs(usual[name]).max() + max(3e-5, 3 * noise) * largest
        error = np.abs(actual - expected).max()
        assert error <= allowed, f"{name}: off by {error:.3g}, allowed {allowed:.3g}"
        names.add(name)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        name = ".".join(k.key for k in path)
        if name not in names:  # recorded as having no gradient
            assert not np.any(leaf), f"{name} has a gradient, the recorded one has none"


@pytest.mark.parametrize("case", ITERATIONS, ids=case_id)
def test_whole_iteration_ends_in_the_recorded_state(case):
    config, key = case["config"], case["key"]
    a = arrays(config)
    setup = recorded_setup(config)
    optimizers = {
        o["network"]: states.make_optimizer(
            o["base_lr"],
            reg_interval=o["reg_interval"],
            reg_free=phases.reg_free(setup)[o["network"]],
        )
        for o in case["optimisers"]
    }
    models = recorded_models(config, case["cur_nimg"])
    warm = case["mode"] == "warm"
    state = states.TrainState(
        step=jnp.int32(0),
        nimg=jnp.float32(case["cur_nimg"]),
        G=models.G,
        D=models.D,
        G_ema=network(config, "G_ema"),
        G_opt=start(optimizers["G"], models.G["params"], warm),
        D_opt=start(optimizers["D"], models.D["params"], warm),
        pl_mean=models.pl_mean,
    )
    for i, (name, gain) in enumerate(zip(case["phases"], case["gains"])):
        # Without a blur recorded for iterations, sigma is that of the ramp's end.
        state, grads = run_phase(case, state, i, name, gain, optimizers)
        recorded = a.under(f"{key}/{name}/grad/")
        assert_gradients(states.clean_gradients(grads), recorded, case, 1.0)
        after = getattr(state, name[0])["params"]
        assert_parameters(after, a.under(f"{key}/{name}/param_after/"), recorded, warm)

    beta = states.ema_beta(
        state.nimg,
        case["batch_size"],
        case["ema"]["ema_kimg"],
        case["ema"]["ema_rampup"],
    )
    assert beta == pytest.approx(case["ema"]["ema_beta"], rel=1e-6)
    G_ema = states.update_ema(state.G_ema, state.G, beta)
    recorded = a.under(f"{key}/G_ema_after/")
    buffers = {n: v for n, v in recorded.items() if n.endswith(published.BUFFERS)}
    params = {n: v for n, v in recorded.items() if n not in buffers}
    assert params
    assert_parameters(G_ema["params"], params, {}, warm)
    for name, value in buffers.items():
        actual = official.leaf(G_ema["buffers"], name)
        # Averages that follow the fresh Adam's first, sign-like step see its noise.
        official.assert_close(actual, value, 1e-5 if warm else 1e-3, name)
    assert state.pl_mean == pytest.approx(case["pl_mean_after"], rel=3e-5)
    assert setup.G is recorded_setup(config).G


def start(optimizer, params, warm: bool):
    """Adam's state: fresh, or as if after 100 steps with second moments of 1e-3."""
    opt = optimizer.init(params)
    if not warm:
        return opt
    return jax.tree.map(
        lambda x: jnp.full_like(x, 100 if x.dtype == jnp.int32 else 1e-3), opt
    )


def run_phase(case, state, i: int, name: str, gain: float, optimizers):
    """Sum the gradients of the sub-batches, spoil some, take one step."""
    config, size = case["config"], case["batch_gpu"]
    a, phase = arrays(config), phases.Phase(name, name[0], is_reg=name.endswith("reg"))
    total = None
    for k in range(case["rounds"]):
        first = i * case["batch_size"] + k * size
        normal = f"{case['key']}/{name}/pl_noise_normal_round{k}"
        inputs = recorded_inputs(
            config,
            slice(k * size, (k + 1) * size),
            slice(first, first + size),
            a[normal] if normal in a else None,
        )
        nimg = jnp.float32(1000 * FADE_KIMG)
        models = objectives.Models(state.G, state.D, state.pl_mean, nimg)
        grads, outcome, _ = compiled_gradients(config, name)(models, inputs)
        grads = jax.tree.map(lambda g: g * gain, grads)
        total = grads if total is None else jax.tree.map(jnp.add, total, grads)
        state = state.replace(
            G=state.G | {"buffers": outcome.G_buffers}, pl_mean=outcome.pl_mean
        )
    if name in case["injected_nonfinite"]:
        total = spoil(total, case["injected_nonfinite"][name], config, name)
    state = step.apply_gradients(state, phase, optimizers[name[0]], total)
    return state, total


def spoil(grads, injected: dict, config: str, name: str):
    """Overwrite entries of one gradient, counted in the recorded layout."""
    parameter = injected["parameter"]
    recorded = arrays(config)[f"{name[0]}/{parameter}"]
    place = published.to_ours(
        parameter, np.arange(recorded.size).reshape(recorded.shape)
    )
    *path, leaf = parameter.split(".")
    grads = jax.tree.map(lambda x: x, grads)
    tree = official.leaf(grads, ".".join(path))
    for index, value in injected["flat_index_to_value"].items():
        tree[leaf] = jnp.where(place == int(index), float(value), tree[leaf])
    return grads


def assert_parameters(params, recorded: dict, grads: dict, warm: bool):
    """1e-5 of the array's maximum plus 1e-4, where the step is well conditioned."""
    for name, value in recorded.items():
        expected = published.to_ours(name, value)
        difference = np.abs(np.asarray(official.leaf(params, name)) - expected)
        if not warm:
            # A fresh Adam's first step is lr * sign(gradient): judge clear signs only.
            if name not in grads:
                continue
            g = np.abs(published.to_ours(name, grads[name]))
            difference = difference[g > 0.05 * np.median(g)]
        allowed = 1e-5 * np.abs(expected).max() + 1e-4
        worst = difference.max(initial=0)
        assert worst <= allowed, f"{name}: off by {worst:.3g}, allowed {allowed:.3g}"


@pytest.mark.parametrize("case", INDEX.get("optim", []), ids=lambda c: c["name"])
def test_adam_takes_the_recorded_steps(case):
    a = official.Arrays("losses", "optim.npz", "optim/")
    reg_interval = {"G_stylegan3": None, "G_stylegan2": 4, "D": 16}[case["name"]]
    base_lr = {"G_stylegan3": 0.0025, "G_stylegan2": 0.002, "D": 0.002}[case["name"]]
    optimizer = states.make_optimizer(base_lr, reg_interval=reg_interval)
    params = {"p": jnp.asarray(a["param0"])}
    opt = optimizer.init(params)
    for raw, expected in zip(a["raw_grads"], a[f"{case['name']}/params"], strict=True):
        grads = states.clean_gradients({"p": jnp.asarray(raw)})
        updates, opt = optimizer.update(grads, opt, params)
        params = optax.apply_updates(params, updates)
        # Steps of about lr * 1, in float32: 8 of them round to well below 1e-6.
        np.testing.assert_allclose(params["p"], expected, atol=1e-6)


def test_ema_beta_follows_the_recorded_table():
    for row in INDEX.get("ema_table", []):
        beta = states.ema_beta(
            jnp.float32(row["cur_nimg"]),
            row["batch_size"],
            row["ema_kimg"],
            row["ema_rampup"],
        )
        np.testing.assert_allclose(beta, row["ema_beta"], rtol=2e-5, atol=1e-30)


def test_augmentation_strength_follows_the_recorded_table():
    table = INDEX["ada_table"]
    speed = table["batch_size"] * table["ada_interval"] / (1000 * table["ada_kimg"])
    p = jnp.float32(table["p0"])
    for mean, expected in zip(table["sign_means"], table["p_after"], strict=True):
        p = control.adjust_p(p, jnp.float32(mean), table["ada_target"], speed)
        np.testing.assert_allclose(p, expected, rtol=1e-5, atol=1e-9)


def test_blur_ramp_follows_the_recorded_table():
    for row in INDEX.get("blur_table", []):
        sigma = losses.blur_sigma(
            jnp.float32(row["cur_nimg"]), row["blur_init_sigma"], row["blur_fade_kimg"]
        )
        np.testing.assert_allclose(sigma, row["blur_sigma"], rtol=1e-5, atol=1e-5)


BLURS = [c for c in PHASES if c.get("blur_init_sigma") and c["phase"] == "Dreg"]


@pytest.mark.parametrize("case", BLURS, ids=case_id)
def test_blur_gives_the_recorded_taps_and_images(case):
    a = arrays(case["config"])
    name = "blur" + case["key"][-1]
    sigma = jnp.float32(case["blur_sigma"])
    taps = np.asarray(losses.blur_taps(sigma, 30))
    recorded = a[f"{name}/taps"]
    margin = 30 - recorded.size // 2
    np.testing.assert_allclose(taps[margin : 61 - margin], recorded, atol=1e-6)
    assert not taps[:margin].any() and not taps[61 - margin :].any()
    count = INDEX["configs"][case["config"]]["batch"]
    images = official.nhwc(a["in/real_uint8"][:count]).astype(np.float32) / 127.5 - 1
    blurred = jax.jit(losses.blur, static_argnums=2)(images, sigma, INIT_SIGMA)
    official.assert_close(official.nchw(blurred), a[f"{name}/real_blurred"], 3e-5, name)
