"""Small complete networks: images, layers, truncation, averages, gradients."""

import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.interop import names as published
from afgan_jax.networks import discriminator, generator, minibatch_stddev
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

GAN = "generator_and_discriminator"


@pytest.mark.parametrize(
    "case",
    [
        # Half a minute: G and D each have cases of their own.
        pytest.param(c, marks=[pytest.mark.slow] * (c["kind"] == GAN), id=name)
        for name, c in CASES.items()
    ],
)
def test_network_has_the_recorded_results(case):
    assert case["kind"] in RUNNERS, f"no runner for network {case['kind']!r}"
    RUNNERS[case["kind"]](case, official.Arrays("networks", case["file"]))


def close(actual, recorded, row, name, scale=None):
    official.assert_close(actual, recorded, TOLERANCES[row], name, scale)


def make_generator(case):
    kwargs = case["params"]["kwargs"]
    kind = "stylegan2" if case["kind"] == "stylegan2_generator" else "alias_free"
    return generator.make_generator(**published.generator_settings(kwargs, kind))


def make_discriminator(case):
    return discriminator.make_discriminator(
        **published.discriminator_settings(case["params"]["kwargs"])
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
        ws = mapped(G, variables, z, c, psi, cutoff)
        image, features = render(ws, transform)
        close(official.nchw(image), arrays[f"out/{name}/img"], row, name)
        return features

    tags = recorded_tags(arrays)
    official.only([t.kind for t in tags.values()], ("psi", "transform", "ema"), "tags")
    for name, tag in tags.items():
        if tag.kind == "psi" and f"out/{name}/img" in arrays:
            features = image_of(name, tag.psi, tag.cutoff, jnp.eye(3))
            if name == "psi1":
                check_layers(case, arrays, features)
        elif tag.kind == "transform":
            (transform,) = inputs(arrays, f"in/{name}")
            features = image_of(name, 1.0, None, transform)
            recorded = arrays[f"out/{name}/input"]
            found = official.nchw(features["input"]["__call__"][0])[:1]
            close(found, recorded, "fourier_input", f"{name}/input")
        elif tag.kind == "ema":
            image, state = updated(G, variables, z, c, tag.psi, tag.cutoff)
            close(official.nchw(image), arrays[f"out/{name}/img"], case["kind"], name)
            check_averages(arrays.under(f"out/{name}/"), state["buffers"])


class Tag(NamedTuple):
    """What a recorded call of a generator asked for."""

    kind: str  # psi, ema, transform, or another name
    psi: float = 1.0
    cutoff: int | None = None


def recorded_tags(arrays) -> dict[str, Tag]:
    """All tags of a case by name, such as psi0.7_cut3; psi1 is among them."""
    names = dict.fromkeys(name.partition("/")[0] for name in arrays.under("out/"))
    assert "psi1" in names
    return {name: parse_tag(name) for name in names}


def parse_tag(name: str) -> Tag:
    found = re.fullmatch(r"(ema_)?psi(-?[\d.]+)(?:_cut(\d+))?", name)
    if found:
        ema, psi, cutoff = found.groups()
        return Tag("ema" if ema else "psi", float(psi), cutoff and int(cutoff))
    return Tag("transform" if re.fullmatch(r"transform\d+", name) else name)


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def updated(G, variables, z, c, psi, cutoff):
    """Images and buffers of one call that updates the averages."""
    return G.apply(variables, z, c, psi, cutoff, update_emas=True, mutable=["buffers"])


@functools.partial(jax.jit, static_argnums=(0, 4, 5), static_argnames="moving")
def mapped(G, variables, z, c, psi, cutoff, *, moving=False):
    """The ws, and the variables after it if the averages move."""
    options = {"update_emas": True, "mutable": ["buffers"]} if moving else {}
    return G.apply(variables, z, c, psi, cutoff, method="map", **options)


def check_ws(G, variables, z, c, arrays):
    """Mapping and truncation, and the step of the running average."""
    for name, tag in recorded_tags(arrays).items():
        if f"out/{name}/ws" not in arrays:
            continue
        recorded = arrays[f"out/{name}/ws"]
        if tag.kind == "ema":
            ws, state = mapped(G, variables, z, c, tag.psi, tag.cutoff, moving=True)
            w_avg = state["buffers"]["mapping"]["w_avg"]
            close(w_avg, arrays[f"out/{name}/w_avg"], "ws", f"w_avg of {name}")
        else:
            official.only([tag.kind], ("psi",), "ws of")
            ws = mapped(G, variables, z, c, tag.psi, tag.cutoff)
        close(ws[:, 0] if recorded.ndim == 2 else ws, recorded, "ws", name)


def check_averages(recorded, buffers):
    start = "magnitude_ema/"
    names = [name for name in recorded if name.startswith(start)]
    assert names
    for name in names:
        layer = name.removeprefix(start)
        found = buffers["synthesis"][layer]["magnitude_ema"]
        close(found, recorded[name], "ws", f"magnitude_ema of {layer}")
    close(buffers["mapping"]["w_avg"], recorded["w_avg"], "ws", "w_avg")


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

    noises = {"psi": "const", "nonfused": "const", "noise_none": "none"}
    tags = recorded_tags(arrays)
    official.only([t.kind for t in tags.values()], {"ema", *noises}, "tags")
    for name, tag in tags.items():
        if f"out/{name}/img" not in arrays:
            continue
        ws = mapped(G, variables, z, c, tag.psi, tag.cutoff)
        image, state = render(ws, noises[tag.kind])
        recorded = arrays[f"out/{name}/img"]
        close(official.nchw(image), recorded, case["kind"], name)
        if name == "psi1":
            check_layers(case, arrays, state["intermediates"]["synthesis"])


def check_discriminator(case, arrays):
    D = make_discriminator(case)
    params = as_jax(published.variables(arrays.under("state/")))["params"]
    c, image = inputs(arrays, "in/c", "in/img")
    found = judge(D, case["params"]["n_sub"], params, official.nhwc(image), c)
    with official.float64():  # where no rounding takes another side of a kink
        arguments = (params, official.nhwc(image), c)
        exact = gradients(D, *jax.tree.map(np.float64, arguments))
        exact = jax.tree.map(np.asarray, exact)
    assert exact["penalty"].dtype == np.float64
    row = "discriminator"
    close(found["logits"], arrays["out/logits"][:, 0], row, "logits")
    sub = arrays["out/logits_first_n_sub"][:, 0]
    close(found["logits_first_n_sub"], sub, row, "logits of the first images")
    close(official.nchw(exact["img_grad"]), arrays["out/r1/img_grad"], row, "r1/img")
    close(exact["penalty"], arrays["out/r1/penalty"], row, "r1/penalty")
    if "out/cmap" in arrays:
        cmap = found["features"]["mapping"]["__call__"][0]
        close(cmap, arrays["out/cmap"], "ws", "cmap")
    check_blocks(case, arrays, found["features"])
    check_statistics_channels(D, arrays, found["features"])
    check_parameter_gradients(arrays, exact)


@functools.partial(jax.jit, static_argnums=(0, 1))
def judge(D, n_sub, params, image, c):
    """Everything recorded of a discriminator but gradients, in one program."""
    y, state = D.apply({"params": params}, image, c, capture_intermediates=True)
    few = image[:n_sub], None if c is None else c[:n_sub]
    return {
        "logits": y,
        "features": state["intermediates"],
        "logits_first_n_sub": D.apply({"params": params}, *few),
    }


@functools.partial(jax.jit, static_argnums=0)
def gradients(D, params, image, c):
    """Those of R1 and of the mean logit."""

    def logits(params, image):
        return D.apply({"params": params}, image, c)

    def r1(params):
        gradient = jax.grad(lambda i: jnp.sum(logits(params, i)))(image)
        penalty = jnp.sum(jnp.square(gradient), axis=(1, 2, 3))
        return jnp.mean(penalty), {"img_grad": gradient, "penalty": penalty}

    (_, found), r1_mean = jax.value_and_grad(r1, has_aux=True)(params)
    logit_mean = jax.grad(lambda p: jnp.mean(logits(p, image)))(params)
    return found | {"r1_mean": r1_mean, "logit_mean": logit_mean}


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
    x = minibatch_stddev.minibatch_stddev(
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
    for name, recorded in arrays.under("f64/grad/").items():
        gradient = official.leaf(found[name.partition("/")[0]], name.partition("/")[2])
        recorded = published.to_ours(name, recorded)
        official.assert_close(gradient, recorded, 1e-11, f"f64/grad/{name}")
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
    variables = [published.variables(state) for state in states]
    noise = {"noise": "const"} if cases[0]["kind"] == "stylegan2_generator" else {}
    latents = [arrays[name] if name in arrays else None for name in ("in/z", "in/c")]

    def loss(params, z, c, buffers):
        G_params, D_params = params
        image = G.apply({"params": G_params, "buffers": buffers}, z, c, **noise)
        logits = D.apply({"params": D_params}, image, c if D.c_dim else None)
        return jnp.mean(logits), (image, logits)

    def arguments(dtype):
        z, c, *trees = jax.tree.map(dtype, [*latents, *variables])
        return [tree["params"] for tree in trees], z, c, trees[0]["buffers"]

    value, (image, logits) = jax.jit(loss)(*arguments(np.float32))
    close(value, arrays["out/loss"], "gan_loss", "loss")
    close(logits, arrays["out/logits"][:, 0], "gan_loss", "logits")
    close(official.nchw(image), arrays["out/img"], cases[0]["kind"], "img")
    with official.float64():  # where no rounding takes another side of a kink
        compute = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
        (found, z_grad), _ = compute(*arguments(np.float64))
        assert z_grad.dtype == np.float64
        found, z_grad = jax.tree.map(np.asarray, (found, z_grad))
    row = cases[0]["kind"].replace("generator", "gan_gradient")
    close(z_grad, arrays["grad/z"], row, "grad/z")
    for part, gradients in zip("GD", found):
        for name, recorded in arrays.under(f"grad/{part}/").items():
            gradient = official.leaf(gradients, name)
            recorded = published.to_ours(name, recorded)
            close(gradient, recorded, row, f"grad/{part}/{name}")


RUNNERS = {
    "stylegan3_generator": check_stylegan3,
    "stylegan2_generator": check_stylegan2,
    "discriminator": check_discriminator,
    GAN: check_gan,
}
