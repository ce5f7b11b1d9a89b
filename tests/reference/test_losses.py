"""Training phases, a whole iteration, the optimiser and the averages, as recorded.

The recorded program sums the gradients of its sub-batches; here they are averaged, so
the sums are formed in this file from the same `gradients` and `apply_gradients`.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from afgan_jax.augment import control
from afgan_jax.interop import names as published
from afgan_jax.networks import discriminator
from afgan_jax.training import losses, objectives, phases, step
from afgan_jax.training import state as states
from reference import generators, official

INDEX = official.index("losses")
PHASES = [c for c in INDEX["cases"] if c.get("kind") != "full_iteration"]
ITERATIONS = [c for c in INDEX["cases"] if c.get("kind") == "full_iteration"]
KINDS = {None, "full_iteration"}
LOSS_SETTINGS = {"r1_gamma", "pl_weight", "pl_batch_shrink", "pl_decay"}
LOSS_SETTINGS |= {"style_mixing_prob", "blur_init_sigma", "blur_fade_kimg"}
LOSS_SETTINGS |= {"pl_no_weight_grad"}  # changes speed only
STAT_TOLERANCE = 3e-5  # absolute and relative


def case_id(case):
    return f"{case['config']}/{case['key']}"


@functools.cache
def arrays(config: str) -> official.Arrays:
    return generators.arrays(config)


def blur_ramp(case) -> tuple[float, float]:
    """(blur_init_sigma, blur_fade_kimg) of a case; (0, 0) if it is not blurred."""
    ramp = case.get("blur_init_sigma", 0), case.get("blur_fade_kimg", 0)
    return ramp if all(ramp) else (0, 0)


def compiled_ramp(case) -> tuple[float, float]:
    """One of the configuration's cases for those that are not blurred: one program."""
    mates = [c for c in INDEX["cases"] if c["config"] == case["config"]]
    return next((r for r in map(blur_ramp, [case, *mates]) if all(r)), (0, 0))


@functools.cache
def recorded_setup(config: str, ramp: tuple[float, float]) -> objectives.Setup:
    entry = INDEX["configs"][config]
    G, noise = generators.make(config)
    D_settings = published.discriminator_settings(entry["D_kwargs"])
    loss = entry["loss_kwargs"]
    official.only(loss, LOSS_SETTINGS, f"losses of {config}:")
    return objectives.Setup(
        G=G,
        D=discriminator.make_discriminator(**D_settings),
        r1_gamma=loss["r1_gamma"],
        pl_weight=loss.get("pl_weight", 0),
        pl_batch_shrink=loss.get("pl_batch_shrink", 2),
        pl_decay=loss.get("pl_decay", 0.01),
        style_mixing_prob=0.9,  # whether it happens is an input: mix_from
        blur_init_sigma=ramp[0],
        blur_fade_kimg=ramp[1],
        noise=noise,
    )


@functools.cache
def compiled_gradients(config: str, name: str, ramp: tuple[float, float]):
    """Gradients of the mean (gain 1), the Outcome, and G's images."""
    setup = recorded_setup(config, ramp)
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


def recorded_inputs(case, real_rows, z_rows, pl_normal=None, z_mix=None, mix=None):
    config = case["config"]
    a, setup = arrays(config), recorded_setup(config, compiled_ramp(case))
    real = official.nhwc(a["in/real_uint8"][real_rows]).astype(np.float32) / 127.5 - 1
    z = a["in/z"][z_rows]
    if pl_normal is None:
        pl_normal = np.zeros_like(real[: len(z) // setup.pl_batch_shrink])
        pl_normal = official.nchw(pl_normal)
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
    """Images shown, such that the compiled ramp gives the case's sigma."""
    past = 1000 * compiled_ramp(case)[1]
    return case["cur_nimg"] if all(blur_ramp(case)) else past


def test_every_recorded_case_is_of_a_known_kind():
    official.only([c.get("kind") for c in INDEX["cases"]], KINDS, "losses of kind")
    official.only([c["phase"] for c in PHASES], objectives.OBJECTIVES, "phase")


@pytest.mark.parametrize("case", PHASES, ids=case_id)
def test_phase_gives_the_recorded_losses_and_gradients(case):
    config = case["config"]
    a = arrays(config)
    key = case["key"]

    def optional(name):
        return a[f"{key}/{name}"] if f"{key}/{name}" in a else None

    rows = slice(0, INDEX["configs"][config]["batch"])
    inputs = recorded_inputs(
        case,
        rows,
        rows,
        optional("pl_noise_normal"),
        optional("z2"),
        case.get("style_mixing_cutoff"),
    )
    models = recorded_models(config, nimg_of(case))
    run = compiled_gradients(config, case["phase"], compiled_ramp(case))
    grads, outcome, images = run(models, inputs)

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


@pytest.mark.slow  # half a minute: of what it puts together each part is tested above
@pytest.mark.parametrize("case", ITERATIONS, ids=case_id)
def test_whole_iteration_ends_in_the_recorded_state(case):
    config, key = case["config"], case["key"]
    a = arrays(config)
    setup = recorded_setup(config, compiled_ramp(case))
    optimizers = {
        o["network"]: recorded_optimizer(o, phases.reg_free(setup)[o["network"]])
        for o in case["optimisers"]
    }
    assert case["z_rows"].startswith(ROWS), case["z_rows"]
    models = recorded_models(config, case["cur_nimg"])
    official.only([case["mode"]], ("warm", "fresh"), "iteration of mode")
    warm, before = case["mode"] == "warm", case["adam_state_before"]
    state = states.TrainState(
        step=jnp.int32(0),
        nimg=jnp.float32(case["cur_nimg"]),
        G=models.G,
        D=models.D,
        G_ema=network(config, "G_ema"),
        G_opt=start(optimizers["G"], models.G["params"], before),
        D_opt=start(optimizers["D"], models.D["params"], before),
        pl_mean=models.pl_mean,
    )
    for i, (name, gain) in enumerate(zip(case["phases"], case["gains"])):
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


# Rows of z and labels as run_phase takes them.
ROWS = "phase i, round k uses rows i*batch_size+k*batch_gpu .. +batch_gpu of in/z"


def recorded_optimizer(entry, reg_free=()):
    """Ours, of the recorded rate and betas before regularisation scaled them."""
    n = entry["reg_interval"]
    c = 1 if n is None else n / (n + 1)
    assert entry["betas"][0] == 0, "no runner for a first moment"
    assert entry["lr"] == pytest.approx(c * entry["base_lr"], rel=1e-12)
    beta2 = entry["betas"][1] ** (1 / c)
    rates = {"beta2": beta2, "eps": entry["eps"], "reg_interval": n}
    return states.make_optimizer(entry["base_lr"], reg_free=reg_free, **rates)


def start(optimizer, params, before: str):
    """Adam's state: fresh, or as if after some steps with all second moments equal."""
    opt = optimizer.init(params)
    if before == "fresh":
        return opt
    found = re.fullmatch(r"step=(\d+), first moment 0, second moment (\S+).*", before)
    assert found, f"no runner for Adam's state {before!r}"
    count, moment = int(found[1]), float(found[2])
    return jax.tree.map(
        lambda x: jnp.full_like(x, count if x.dtype == jnp.int32 else moment), opt
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
            case,
            slice(k * size, (k + 1) * size),
            slice(first, first + size),
            a[normal] if normal in a else None,
        )
        nimg = jnp.float32(nimg_of(case))
        models = objectives.Models(state.G, state.D, state.pl_mean, nimg)
        run = compiled_gradients(config, name, compiled_ramp(case))
        grads, outcome, _ = run(models, inputs)
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
    optimizer = recorded_optimizer(unscaled(case))
    params = {"p": jnp.asarray(a["param0"])}
    opt = optimizer.init(params)
    for raw, expected in zip(a["raw_grads"], a[f"{case['name']}/params"], strict=True):
        grads = states.clean_gradients({"p": jnp.asarray(raw)})
        updates, opt = optimizer.update(grads, opt, params)
        params = optax.apply_updates(params, updates)
        # Steps of about lr * 1, in float32: 8 of them round to well below 1e-6.
        np.testing.assert_allclose(params["p"], expected, atol=1e-6)


def unscaled(case):
    """The entry with the interval that, from a beta of 0.99, leads to its betas."""
    c = np.log(case["betas"][1]) / np.log(0.99)
    n = c / (1 - c) if c < 1 else None
    lazy = n is not None and abs(n - round(n)) < 1e-6
    scale = {"reg_interval": round(n) if lazy else None}
    return case | scale | {"base_lr": case["lr"] / (c if lazy else 1)}


def test_ema_beta_follows_the_recorded_table():
    for row in INDEX.get("ema_table", []):
        beta = states.ema_beta(
            jnp.float32(row["cur_nimg"]),
            row["batch_size"],
            row["ema_kimg"],
            row["ema_rampup"],
        )
        np.testing.assert_allclose(beta, row["ema_beta"], rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize("table", [INDEX["ada_table"]] if "ada_table" in INDEX else [])
def test_augmentation_strength_follows_the_recorded_table(table):
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


def blur_name(case):
    return "blur" + case["key"].rpartition("_blur")[2]


BLURS = {(c["config"], blur_name(c)): c for c in PHASES if all(blur_ramp(c))}


@pytest.mark.parametrize("case", BLURS.values(), ids=case_id)
def test_blur_gives_the_recorded_taps_and_images(case):
    a = arrays(case["config"])
    name, ramp = blur_name(case), blur_ramp(case)
    sigma = losses.blur_sigma(jnp.float32(case["cur_nimg"]), *ramp)
    np.testing.assert_allclose(sigma, case["blur_sigma"], rtol=1e-5, atol=1e-5)
    sigma, radius = jnp.float32(case["blur_sigma"]), int(3 * ramp[0])
    taps = np.asarray(losses.blur_taps(sigma, radius))
    recorded = a[f"{name}/taps"]
    margin = radius - recorded.size // 2
    inside = slice(margin, taps.size - margin)
    np.testing.assert_allclose(taps[inside], recorded, atol=1e-6)
    assert not np.any(np.delete(taps, inside))
    count = INDEX["configs"][case["config"]]["batch"]
    images = official.nhwc(a["in/real_uint8"][:count]).astype(np.float32) / 127.5 - 1
    blurred = jax.jit(losses.blur, static_argnums=2)(images, sigma, ramp[0])
    official.assert_close(official.nchw(blurred), a[f"{name}/real_blurred"], 3e-5, name)
