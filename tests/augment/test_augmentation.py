"""The whole pipeline: presets, compilation, derivatives, devices, refusals."""

import functools

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from afgan_jax.augment import control, draws, pipeline
from afgan_jax.bench import aot
from afgan_jax.signal.backends import dispatch

KEY = jax.random.key(7)


def augmentation(preset):
    """(key, images, p) -> images."""
    return control.make_control(mode="fixed", preset=preset).augment


def images_of(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def test_presets_are_the_published_ones():
    sizes = {"blit": 3, "geom": 4, "color": 5, "filter": 1, "noise": 1, "cutout": 1}
    assert {n: len(pipeline.PRESETS[n]) for n in sizes} == sizes
    unions = ["blit geom", "bg color", "bgc filter", "bgcf noise", "bgcfn cutout"]
    for name, parts in zip(("bg", "bgc", "bgcf", "bgcfn", "bgcfnc"), unions):
        a, b = (pipeline.PRESETS[part] for part in parts.split())
        assert pipeline.PRESETS[name] == a + b
    assert pipeline.PRESETS["bgcfnc"] == draws.NAMES


def test_strength_0_leaves_images_as_they_are():
    x = images_of((2, 24, 24, 3))
    out = jax.jit(augmentation("bgcfnc"))(KEY, x, 0.0)
    # Resampled even so: by filters whose errors cancel.
    np.testing.assert_allclose(out, x, atol=1e-5)


def test_a_new_strength_or_key_compiles_nothing():
    augment = jax.jit(augmentation("bgc"))
    x = images_of((2, 8, 8, 3))
    first = augment(KEY, x, jnp.float32(0.3))
    size = augment._cache_size()
    others = [augment(jax.random.key(i), x, jnp.float32(i / 2)) for i in range(3)]
    assert augment._cache_size() == size == 1
    assert all(np.abs(first - other).max() > 0.1 for other in others[1:])


def test_result_is_float32_whatever_comes_in():
    x = images_of((1, 8, 8, 3)).astype(jnp.bfloat16)
    out = jax.eval_shape(augmentation("bgc"), KEY, x, 1.0)
    assert out.dtype == jnp.float32


def test_multipliers_change_a_preset():
    of = pipeline.make_multipliers("bgc", {"hue": 0, "noise": 0.5})
    assert (of["hue"], of["noise"], of["scale"], of["cutout"]) == (0, 0.5, 1, 0)


def penalty(images, augment):
    """As R1 has it: the gradient of a curved function of what is seen, squared."""
    seen = lambda images: jnp.sum(jnp.sin(augment(KEY, images, 0.9)))  # noqa: E731
    return jnp.sum(jnp.square(jax.grad(seen)(images)))


@pytest.mark.slow
def test_second_derivative_is_that_of_differences(float64):
    jax.clear_caches()  # of constants that earlier tests have traced in float32
    augment = augmentation("bgc")
    x, step = (images_of((2, 8, 8, 3), i).astype(float) for i in (0, 1))
    f = jax.jit(functools.partial(penalty, augment=augment))
    slope = jnp.sum(jax.jit(jax.grad(f))(x) * step)
    h = 1e-5
    difference = (float(f(x + h * step)) - float(f(x - h * step))) / (2 * h)
    assert np.isfinite(slope) and abs(slope) > 1
    assert slope == pytest.approx(difference, rel=1e-6)


@pytest.mark.slow
def test_eight_devices_augment_as_one_and_do_not_talk():
    x = images_of((8, 24, 24, 3))
    augment = augmentation("bgcfnc")
    alone = jax.jit(augment)(KEY, x, 0.8)
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    rows = NamedSharding(mesh, P("data"))

    def through(images, weights):
        out, back = jax.vjp(lambda x: augment(KEY, x, 0.8), images)
        return out, back(weights)[0]

    split = jax.jit(
        dispatch.split_over(mesh)(through),
        in_shardings=(rows, rows),
        out_shardings=rows,
    )
    compiled = split.lower(x, x).compile()
    assert aot.count_collectives(compiled.as_text()) == {}
    out, _ = compiled(*(jax.device_put(a, rows) for a in (x, x)))
    np.testing.assert_allclose(out, alone, atol=3e-5)  # rounding, times the gains


@pytest.mark.parametrize(
    "preset, multipliers, message",
    [
        ("bcg", None, "augment.preset='bcg' is unknown: use one of blit, geom"),
        ("bgc", {"rotat": 1}, "{'rotat': 1} has an unknown name: use some of xflip"),
        ("bgc", {"hue": -1}, "{'hue': -1} must be at least 0"),
        ("bgc", {"hue": np.inf}, "{'hue': inf} must be at least 0 and finite"),
        ("bgc", {"hue": (1, 1)}, r"{'hue': \(1, 1\)} must be a number"),
        (
            "bgc",
            {"imgfilter": (1, 1)},
            r"{'imgfilter': \(1, 1\)} must be a number or 4",
        ),
        ("bgc", {"hue": "high"}, "{'hue': 'high'} must be a number"),
    ],
)
def test_unknown_names_and_values_are_refused(preset, multipliers, message):
    with pytest.raises(ValueError, match=message):
        pipeline.make_multipliers(preset, multipliers)


@pytest.mark.parametrize(
    "preset, size, channels, message",
    [
        ("bgc", (32, 32), 2, "brightness needs images of 1, 3 or 4 channels, not 2"),
        ("bgcf", (32, 21), 3, "imgfilter needs images of more than 21 pixels"),
        ("bg", (4, 4), 4, None),
        ("bgcf", (22, 22), 1, None),
    ],
)
def test_images_that_a_transform_cannot_take_are_refused(
    preset, size, channels, message
):
    check = functools.partial(
        pipeline.check_images, pipeline.make_multipliers(preset), size, channels
    )
    if message is None:
        check()
        return
    with pytest.raises(ValueError, match=message):
        check()
