"""The average of G measures its own images, which changes nothing else."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from training import test_step

from afgan_jax import errors
from afgan_jax.networks import generator
from afgan_jax.training import step


@functools.cache
def trained(kind: str):
    """(state, statistics) after 5 steps."""
    return test_step.run(test_step.make_program(ema_buffers=kind), 5)


@pytest.mark.slow
def test_training_is_bit_for_bit_that_without():
    (copied, said), (measured, also_said) = trained("copied"), trained("measured")
    for name in ("G", "D", "G_opt", "D_opt", "step", "nimg"):
        pair = getattr(copied, name), getattr(measured, name)
        jax.tree.map(np.testing.assert_array_equal, *pair)
    jax.tree.map(np.testing.assert_array_equal, said, also_said)
    params = copied.G_ema["params"], measured.G_ema["params"]
    jax.tree.map(np.testing.assert_array_equal, *params)
    jax.tree.map(
        np.testing.assert_array_equal, copied.G_ema["buffers"], copied.G["buffers"]
    )
    moved = jax.tree.map(
        lambda a, b: not np.array_equal(a, b),
        measured.G_ema["buffers"],
        measured.G["buffers"],
    )
    assert any(jax.tree.leaves(moved))


@pytest.mark.slow
def test_gains_of_the_average_make_its_own_activations_of_unit_power():
    program = test_step.make_program(ema_buffers="measured")
    setup = test_step.make_setup()
    state = program.init(jax.random.key(0))
    # As the average of few steps may be: other biases, thus another power.
    changed = jax.tree_util.tree_map_with_path(
        lambda path, p: p + 0.7 * (path[-1].key == "bias" and p.shape != (3,)),
        state.G_ema["params"],
    )
    state = state.replace(G_ema={**state.G_ema, "params": changed})
    batch = jax.device_put(test_step.batch_of(0), program.batch_sharding)
    key = jax.device_put(jax.random.key(1), program.replicated)
    # magnitude_ema_beta=0.999, 4 steps at a time: e^-10 of the start is left.
    for index in range(2500):
        state = program.measure(state.replace(step=jnp.int32(index)), batch, key)

    z = jax.random.normal(jax.random.key(2), (64, 8))
    c = jnp.tile(batch["gen_label"][0], (8, 1))
    _, seen = setup.G.apply(state.G_ema, z, c, capture_intermediates=True)
    outputs = seen["intermediates"]["synthesis"]
    buffers = state.G_ema["buffers"]["synthesis"]
    layers = [spec.name for spec in setup.G.synthesis.layers]
    for before, name in zip(["input", *layers], layers, strict=False):
        power = np.mean(np.square(outputs[before]["__call__"][0]))
        # Of 4 images a step, over the last 250 of them.
        assert buffers[name]["magnitude_ema"] == pytest.approx(power, rel=0.05)
        assert abs(power - 1) > 0.1 or before == "input"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["alias_free", "stylegan2_fourier", "stylegan2"])
def test_faster_averages_move_as_far_as_several_updates(kind):
    G = tiny.make_generator(kind=kind, resolution=16, channel_base=64, channel_max=4)
    variables = jax.jit(G.initialize)(jax.random.key(0))
    z = jax.random.normal(jax.random.key(1), (4, G.mapping.z_dim))

    def moved(G, times: int):
        here, options = variables, {"update_emas": True, "mutable": ["buffers"]}
        update = jax.jit(functools.partial(G.apply, **options))
        for _ in range(times):
            _, changed = update(here, z)
            here = variables | {"buffers": changed["buffers"]}
        return here["buffers"]

    once, often = moved(generator.faster(G, 4), 1), moved(G, 4)
    names = [path[-1].key for path, _ in jax.tree_util.tree_leaves_with_path(once)]
    assert ("magnitude_ema" in names) == (kind != "stylegan2")
    # Gains change what later layers see, by little in four of thousand updates.
    close = functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-6)
    jax.tree.map(close, once, often)
    start = jax.tree.leaves(variables["buffers"])
    farthest = [np.abs(a - b).max() for a, b in zip(jax.tree.leaves(often), start)]
    assert max(farthest) > 1e-3


def test_unknown_kinds_are_refused():
    with pytest.raises(errors.SettingError, match="copied, measured"):
        step.make_program(test_step.make_setup(), batch_size=8, ema_buffers="own")
