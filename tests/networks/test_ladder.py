"""Untrained generators of the rows from B to H: what each step changes, and mends."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from afgan_jax.metrics import equivariance
from afgan_jax.networks import alias_free, generator
from afgan_jax.runs import config
from afgan_jax.signal import affine

ABLATION = pathlib.Path(__file__).parents[2] / "configs" / "ablation.py"
TINY = {"resolution": 16, "z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 8}


def make(arg, **changes):
    """G of a row, of 16 pixels and at most 8 channels."""
    settings = config.load(f"{ABLATION}:{arg}")["generator"]
    return generator.make_generator(**tiny.changed(settings, **TINY | changes))


@functools.cache
def row(arg, **changes):
    G = make(arg, **changes)
    return G, G.initialize(jax.random.key(0))


def shapes(arg):
    return jax.eval_shape(make(arg).initialize, jax.random.key(0))


def latents(n=2):
    return jax.random.normal(jax.random.key(1), (n, 8))


@functools.cache
def draw(arg):
    G, _ = row(arg)
    return jax.jit(lambda v, z, t: G.apply(v, z, transform=t))


def error_of_a_whole_pixel(arg):
    """Of images moved by a pixel of the coarsest grid, a quarter of the canvas.

    It is whole pixels at every rate, so nothing but borders can show where they are.
    """
    _, variables = row(arg)
    z = latents()
    still = draw(arg)(variables, z, jnp.eye(3))
    moved = draw(arg)(variables, z, affine.user_transform(0.0, 0.25, 0.0))
    assert np.std(still) > 0.01
    difference = moved[:, :, 4:] - still[:, :, :-4]
    return np.sqrt(np.mean(difference**2)) / np.std(still)


@pytest.mark.parametrize("arg", ["d", pytest.param("b", marks=pytest.mark.slow)])
def test_without_a_margin_borders_show_where_they_are(arg):
    assert error_of_a_whole_pixel(arg) > 0.3  # measured: 0.77, 0.73


SLOWLY = [pytest.param(arg, marks=pytest.mark.slow) for arg in "fg"]


@pytest.mark.parametrize("arg", ["e", "h", *SLOWLY])
def test_with_a_margin_images_move_by_whole_pixels_exactly(arg):
    """Border effects stay in the margin, which upsampling crops; measured: 4e-6."""
    assert error_of_a_whole_pixel(arg) < 3e-5


def decibels(arg, samples=16):
    """EQ-T of images of 64 pixels, as contrasty as photographs are (0.4)."""
    sizes = {"resolution": 64, "z_dim": 16, "w_dim": 16, "channel_base": 1024}
    G, variables = row(arg, **sizes, channel_max=32)

    @jax.jit
    def render(numbers, transforms):
        z = jax.random.normal(jax.random.key(0), (samples, 16))[numbers]
        return G.apply(variables, z, transform=transforms)

    still = np.broadcast_to(np.eye(3, dtype="f4"), (8, 3, 3))
    gain = 0.4 / np.std(render(np.arange(8), still))
    found = equivariance.measure(
        lambda *given: gain * render(*given),
        num_samples=samples,
        batch_size=8,
        seed=0,
        resolution=64,
        kinds=("eqt_int",),
    )
    return equivariance.psnr(found["eqt_int"])


@pytest.mark.slow
def test_every_step_from_d_to_t_makes_translation_more_exact():
    """At initialisation, dB of 16 samples: 20.3, 23.3, 31.0, 61.3, 70.4."""
    found = np.array([decibels(arg) for arg in "defgt"])
    assert (np.diff(found) > (1, 4, 15, 2)).all(), found


@functools.cache
def maps(arg, noise="const", key=0, **changes):
    """What every module of a row gives out, [2 H W C] each, as {path: array}."""
    G, variables = row(arg, **changes)
    keep = {"capture_intermediates": True, "mutable": ["intermediates", "buffers"]}

    @jax.jit
    def run(variables, z, key):
        rngs = {"noise": key}
        given = {"noise": noise, "update_emas": True, "rngs": rngs}
        return G.apply(variables, z, **given, **keep)[1]

    state = run(variables, latents(), jax.random.key(key))
    return state["intermediates"]["synthesis"], state["buffers"]["synthesis"]


def test_every_map_of_e_has_the_margin_but_the_image():
    found, _ = maps("e")
    sizes = [found[f"b{n}"]["__call__"][0][0].shape[1:3] for n in (4, 8, 16)]
    assert sizes == [(24, 24), (28, 28), (36, 36)]
    assert found["__call__"][0].shape == (2, 16, 16, 3)


def test_inputs_of_all_convolutions_are_averaged_from_d_on():
    """With the average's beta: 0.5 here, from 1 on."""
    found, buffers = maps("e", magnitude_ema_beta=0.5)
    given = {
        "b4/conv1": found["input"]["__call__"][0],
        "b8/conv0": found["b4"]["conv1"]["__call__"][0],
        "b8/conv1": found["b8"]["conv0"]["__call__"][0],
        "b16/torgb": found["b16"]["conv1"]["__call__"][0],
    }
    for path, x in given.items():
        block, layer = path.split("/")
        average = buffers[block][layer]["magnitude_ema"]
        np.testing.assert_allclose(average, 0.5 + 0.5 * np.mean(x**2), rtol=1e-4)
    assert "magnitude_ema" not in str(jax.tree.structure(shapes("c")["buffers"]))


def test_averages_of_inputs_stay_in_evaluation():
    G, variables = row("e")
    evaluate = jax.jit(lambda v, z: G.apply(v, z, mutable=["buffers"])[1])
    after = evaluate(variables, latents())
    jax.tree.map(np.testing.assert_array_equal, after["buffers"], variables["buffers"])


@pytest.mark.parametrize("arg", ["e", "h:noise"])
def test_what_layers_take_passes_through_recomputation(arg):
    """Noise and updated averages, in half precision; nothing is run."""
    given = {"update_emas": True, "noise": "random", "mutable": ["buffers"]}
    kept = {}
    for remat in ("none", "layer"):
        G = make(arg, remat=remat, dtype="bfloat16", num_half_res=1)

        def pull(variables, key, G=G):
            def call(params):
                rngs = {"noise": key}
                return G.apply(
                    variables | {"params": params}, latents(), rngs=rngs, **given
                )

            return jax.vjp(call, variables["params"])[1]

        key = jax.random.key(0)
        variables = jax.eval_shape(G.initialize, key)
        residuals = jax.eval_shape(pull, variables, key)
        kept[remat] = sum(a.size for a in jax.tree.leaves(residuals))
    assert kept["layer"] < kept["none"]


def test_fixed_fourier_features_are_the_same_for_all_ws():
    found, _ = maps("e", magnitude_ema_beta=0.5)
    features = found["input"]["__call__"][0]
    np.testing.assert_array_equal(features[0], features[1])
    assert set(shapes("g")["params"]["synthesis"]["input"]) == {"weight"}
    assert set(shapes("h")["params"]["synthesis"]["input"]) == {"weight", "affine"}
    assert make("h").synthesis.num_ws == make("g").synthesis.num_ws + 1


def test_noise_of_alias_free_layers_is_drawn_anew_only_when_asked():
    specs = make("t:noise").synthesis.layers
    assert [spec.noise for spec in specs] == [True] * 14 + [False]
    layer = alias_free.SynthesisLayer(specs[0], None, 0.999)
    x, w = jnp.ones((2, *specs[0].in_size, specs[0].in_channels)), jnp.ones((2, 8))
    variables = layer.init(jax.random.key(0), x, w)
    size = specs[0].in_size[0] + 2  # what a 3x3 convolution makes of it
    assert variables["buffers"]["noise_const"].shape == (size, size)
    assert variables["params"]["noise_strength"] == 0
    params = variables["params"] | {"noise_strength": jnp.float32(1)}

    def draw(noise, key=0):
        rngs = {"noise": jax.random.key(key)}
        return layer.apply(variables | {"params": params}, x, w, noise=noise, rngs=rngs)

    still = draw("const")
    np.testing.assert_array_equal(still, draw("const", key=1))
    np.testing.assert_array_equal(still[0], still[1])
    for other in (draw("none"), draw("random")):
        assert np.std(still - other) > 0.1
    moving = draw("random")
    assert np.std(moving[0] - moving[1]) > 0.1
    assert np.std(moving - draw("random", key=1)) > 0.1
    assert make("t:noise").synthesis.training_options == {"noise": "random"}
    assert make("t").synthesis.training_options == {}
