"""Small complete networks: images, layers, truncation, averages, gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.interop import names as published
from afgan_jax.networks import discriminator, generator, layers
from reference import official

CASES = {case["id"]: case for case in official.index("networks")["cases"]}
# Five to thirty times the rounding measured in the recorded float32 runs, as a share of
# the largest value of an array.
TOLERANCES = {
    "ws": 1e-5,  # also w_avg, magnitude_ema and cmap
    "fourier_input": 1e-4,
    "stylegan3_generator": 3e-4,
    "stylegan2_generator": 3e-5,
    "discriminator": 3e-5,
    "weight_gradient": 1e-4,
    "r1_bias_gradient": 1e-5,  # of the largest R1 weight gradient
    "stylegan3_gan_gradient": 1e-3,
    "stylegan2_gan_gradient": 1e-4,
    "gan_loss": 1e-4,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_network_has_the_recorded_results(case):
    assert case["kind"] in RUNNERS, f"no runner for network {case['kind']!r}"
    RUNNERS[case["kind"]](case, official.Arrays("networks", case["file"]))


def close(actual, recorded, row, name, scale=None):
    official.assert_close(actual, recorded, TOLERANCES[row], name, scale)


def make_generator(case):
    kwargs = case["params"]["kwargs"]
    if case["kind"] == "stylegan2_generator":
        return generator.make_generator(
            synthesis="stylegan2", **published.settings(kwargs)
        )
    return generator.make_generator(**published.settings(kwargs))


def make_discriminator(case):
    return discriminator.make_discriminator(
        mbstd_layout="interleaved", **published.settings(case["params"]["kwargs"])
    )


def as_jax(tree):
    return jax.tree.map(jnp.asarray, tree)


def inputs(arrays, *names):
    return [jnp.asarray(arrays[n]) if n in arrays else None for n in names]


def check_stylegan3(case, arrays):
    G = make_generator(case)
    variables = as_jax(published.variables(arrays.under("state/")))
    z, c = inputs(arrays, "in/z", "in/c")
    check_ws(G, variables, z, c, arrays)

    @jax.jit
    def render(ws, transform):
        image, state = G.apply(
            variables, ws, transform, method="synthesize", capture_intermediates=True
        )
        return image, state["intermediates"]["synthesis"]

    def image_of(name, psi, cutoff, transform, row="stylegan3_generator"):
        ws = G.apply(variables, z, c, psi, cutoff, method="map")
        image, features = render(ws, transform)
        close(official.nchw(image), arrays[f"out/{name}/img"], row, name)
        return features

    same = jnp.eye(3)
    features = image_of("psi1", 1.0, None, same)
    check_layers(case, arrays, features)
    image_of("psi0.7", 0.7, None, same)
    image_of("psi0.7_cut3", 0.7, 3, same)
    for name in ("transform0", "transform1"):
        (transform,) = inputs(arrays, f"in/{name}")
        features = image_of(name, 1.0, None, transform)
        recorded = arrays[f"out/{name}/input"]
        found = official.nchw(features["input"]["__call__"][0])[:1]
        close(found, recorded, "fourier_input", f"{name}/input")

    image, state = updated(G, variables, z, c)
    close(
        official.nchw(image),
        arrays["out/ema_psi0.7/img"],
        "stylegan3_generator",
        "ema_psi0.7",
    )
    check_averages(arrays, state["buffers"])


@functools.partial(jax.jit, static_argnums=0)
def updated(G, variables, z, c):
    """Images at psi 0.7, and buffers, of one call that updates the averages."""
    noise = {} if hasattr(G.synthesis, "layers") else {"noise": "const"}
    return G.apply(
        variables, z, c, psi=0.7, update_emas=True, mutable=["buffers"], **noise
    )


def check_ws(G, variables, z, c, arrays):
    """Mapping and truncation, and the step of the running average."""
    mapped = functools.partial(G.apply, variables, z, c, method="map")
    close(mapped()[:, 0], arrays["out/psi1/ws"], "ws", "psi1")
    close(mapped(0.7), arrays["out/psi0.7/ws"], "ws", "psi0.7")
    close(mapped(0.7, 3), arrays["out/psi0.7_cut3/ws"], "ws", "psi0.7_cut3")
    if "out/psi-0.5_cut5/ws" in arrays:
        close(mapped(-0.5, 5), arrays["out/psi-0.5_cut5/ws"], "ws", "psi-0.5_cut5")
    ws, state = mapped(0.7, update_emas=True, mutable=["buffers"])
    close(ws, arrays["out/ema_psi0.7/ws"], "ws", "ema_psi0.7")
    w_avg = state["buffers"]["mapping"]["w_avg"]
    close(w_avg, arrays["out/ema_psi0.7/w_avg"], "ws", "w_avg")


def check_averages(arrays, buffers):
    recorded = arrays.under("out/ema_psi0.7/magnitude_ema/")
    assert recorded
    for name, value in recorded.items():
        found = buffers["synthesis"][name]["magnitude_ema"]
        close(found, value, "ws", f"magnitude_ema of {name}")
    w_avg = buffers["mapping"]["w_avg"]
    close(w_avg, arrays["out/ema_psi0.7/w_avg"], "ws", "w_avg")


def check_layers(case, arrays, features):
    """Every recorded layer: some channels of sample 0, and statistics of the whole."""
    step = case["params"]["layer_channel_step"]
    recorded = arrays.under("layerstats/")
    assert recorded
    for name, stats in recorded.items():
        row = "fourier_input" if name == "input" else case["kind"]
        y = output_of(features, name)
        some = official.nchw(y[:1, :, :, ::step])
        if some.shape == arrays[f"layer/{name}"].shape:
            close(some, arrays[f"layer/{name}"], row, name)
        else:  # images are recorded with all their channels
            close(official.nchw(y[:1]), arrays[f"layer/{name}"], row, name)
        close(statistics(y), stats, row, f"statistics of {name}")


def output_of(features, name):
    y = official.leaf(features, name)["__call__"][0]
    return y[0] if isinstance(y, tuple) else y


def statistics(y):
    return np.array([y.mean(), jnp.sqrt(jnp.square(y).mean()), jnp.abs(y).max()])


def check_stylegan2(case, arrays):
    G = make_generator(case)
    variables = as_jax(published.variables(arrays.under("state/")))
    z, c = inputs(arrays, "in/z", "in/c")
    check_ws(G, variables, z, c, arrays)

    @functools.partial(jax.jit, static_argnums=1)
    def render(ws, noise):
        return G.apply(
            variables, ws, method="synthesize", capture_intermediates=True, noise=noise
        )

    for name, psi, cutoff, noise in (
        ("psi1", 1.0, None, "const"),
        ("nonfused", 1.0, None, "const"),
        ("psi0.7", 0.7, None, "const"),
        ("psi0.7_cut3", 0.7, 3, "const"),
        ("noise_none", 1.0, None, "none"),
    ):
        ws = G.apply(variables, z, c, psi, cutoff, method="map")
        image, state = render(ws, noise)
        recorded = arrays[f"out/{name}/img"]
        close(official.nchw(image), recorded, case["kind"], name)
        if name == "psi1":
            check_layers(case, arrays, state["intermediates"]["synthesis"])


def check_discriminator(case, arrays):
    D = make_discriminator(case)
    params = as_jax(published.variables(arrays.under("state/")))["params"]
    c, image = inputs(arrays, "in/c", "in/img")
    found = judge(D, case["params"]["n_sub"], params, official.nhwc(image), c)
    row = "discriminator"
    close(found["logits"], arrays["out/logits"][:, 0], row, "logits")
    sub = arrays["out/logits_first_n_sub"][:, 0]
    close(found["logits_first_n_sub"], sub, row, "logits of the first images")
    close(official.nchw(found["img_grad"]), arrays["out/r1/img_grad"], row, "r1/img")
    close(found["penalty"], arrays["out/r1/penalty"], row, "r1/penalty")
    if "out/cmap" in arrays:
        cmap = found["features"]["mapping"]["__call__"][0]
        close(cmap, arrays["out/cmap"], "ws", "cmap")
    check_blocks(case, arrays, found["features"])
    check_statistics_channels(D, arrays, found["features"])
    check_parameter_gradients(arrays, found)


@functools.partial(jax.jit, static_argnums=(0, 1))
def judge(D, n_sub, params, image, c):
    """Everything recorded of a discriminator, in one compiled program."""

    def logits(params, image, c=c):
        return D.apply({"params": params}, image, c)

    def r1(params):
        gradient = jax.grad(lambda i: jnp.sum(logits(params, i)))(image)
        penalty = jnp.sum(jnp.square(gradient), axis=(1, 2, 3))
        return jnp.mean(penalty), {"img_grad": gradient, "penalty": penalty}

    y, state = D.apply({"params": params}, image, c, capture_intermediates=True)
    (_, found), gradients = jax.value_and_grad(r1, has_aux=True)(params)
    return found | {
        "logits": y,
        "features": state["intermediates"],
        "logits_first_n_sub": logits(
            params, image[:n_sub], None if c is None else c[:n_sub]
        ),
        "r1_mean": gradients,
        "logit_mean": jax.grad(lambda p: jnp.mean(logits(p, image)))(params),
    }


def check_blocks(case, arrays, features):
    step = case["params"]["layer_channel_step"]
    for name, recorded in arrays.under("layer/").items():
        block, _, part = name.partition(".")
        if part == "mbstd_channels":
            continue
        x, image = features[block]["__call__"][0]
        found = image if part == "img" else x[..., ::step]
        close(official.nchw(found[:1]), recorded, "discriminator", name)
        if not part:
            stats = arrays[f"layerstats/{name}"]
            close(statistics(x), stats, "discriminator", f"statistics of {name}")


def check_statistics_channels(D, arrays, features):
    """The maps that the last block appends, from what goes into it."""
    x, _ = features["b8"]["__call__"][0]
    if D.architecture == "skip":
        x = x + features["b4"]["fromrgb"]["__call__"][0]
    x = layers.minibatch_stddev(
        x, D.mbstd_group_size, D.mbstd_num_channels, D.mbstd_layout
    )
    found = official.nchw(x[:, :1, :1, -D.mbstd_num_channels :])
    close(found, arrays["layer/b4.mbstd_channels"], "discriminator", "mbstd channels")
    stats = arrays["layerstats/b4.mbstd"]
    close(statistics(x), stats, "discriminator", "statistics of b4.mbstd")


def check_parameter_gradients(arrays, found):
    for name, recorded in arrays.under("grad/logit_mean/").items():
        gradient = official.leaf(found["logit_mean"], name)
        recorded = published.to_ours(name, recorded)
        close(gradient, recorded, "weight_gradient", f"grad/logit_mean/{name}")
    r1 = arrays.under("grad/r1_mean/")
    largest = max(np.abs(a).max() for n, a in r1.items() if n.endswith("weight"))
    for name, recorded in r1.items():
        gradient = official.leaf(found["r1_mean"], name)
        recorded = published.to_ours(name, recorded)
        is_bias = name.endswith("bias")
        row = "r1_bias_gradient" if is_bias else "weight_gradient"
        scale = largest if is_bias else None
        close(gradient, recorded, row, f"grad/r1_mean/{name}", scale)


def check_gan(case, arrays):
    cases = [CASES[case["params"][name]] for name in "GD"]
    G, D = make_generator(cases[0]), make_discriminator(cases[1])
    states = [official.Arrays("networks", c["file"]).under("state/") for c in cases]
    G_variables, D_variables = as_jax([published.variables(s) for s in states])
    noise = {"noise": "const"} if cases[0]["kind"] == "stylegan2_generator" else {}
    z, c = inputs(arrays, "in/z", "in/c")
    c_of_D = c if D.c_dim else None

    def loss(z, G_params, D_params):
        image = G.apply(G_variables | {"params": G_params}, z, c, **noise)
        logits = D.apply({"params": D_params}, image, c_of_D)
        return jnp.mean(logits), (image, logits)

    compute = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (value, (image, logits)), (z_grad, G_grad, D_grad) = compute(
        z, G_variables["params"], D_variables["params"]
    )
    close(value, arrays["out/loss"], "gan_loss", "loss")
    close(logits, arrays["out/logits"][:, 0], "gan_loss", "logits")
    close(official.nchw(image), arrays["out/img"], cases[0]["kind"], "img")
    row = cases[0]["kind"].replace("generator", "gan_gradient")
    close(z_grad, arrays["grad/z"], row, "grad/z")
    for part, gradients in (("G", G_grad), ("D", D_grad)):
        for name, recorded in arrays.under(f"grad/{part}/").items():
            found = official.leaf(gradients, name)
            close(found, published.to_ours(name, recorded), row, f"grad/{part}/{name}")


RUNNERS = {
    "stylegan3_generator": check_stylegan3,
    "stylegan2_generator": check_stylegan2,
    "discriminator": check_discriminator,
    "generator_and_discriminator": check_gan,
}
