"""Updates: the same whatever the devices, the splitting of batches, or the process."""

import dataclasses
import functools

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from training import collectives

from afgan_jax.networks import discriminator
from afgan_jax.training import draws, phases, step

BATCH = 8


@functools.cache
def make_setup(**losses):
    G = tiny.make_generator(
        resolution=16,
        z_dim=8,
        w_dim=8,
        c_dim=2,
        channel_base=64,
        channel_max=8,
        num_layers=3,
        num_critical=1,
        margin=4,
    )
    D = discriminator.make_discriminator(
        resolution=16, c_dim=2, channel_base=64, channel_max=8, mbstd_group_size=2
    )
    return step.make_setup(G, D, r1_gamma=0.5, **losses)


@functools.cache
def make_program(devices: int = 1, **settings):
    return step.make_program(
        make_setup(),
        batch_size=BATCH,
        D_reg_interval=2,
        devices=jax.devices()[:devices],
        **settings,
    )


def batch_of(index: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(index)
    labels = np.eye(2, dtype=np.float32)
    return {
        "image": rng.integers(0, 256, (BATCH, 16, 16, 3), np.uint8),
        "label": labels[rng.integers(0, 2, BATCH)],
        "gen_label": labels[rng.integers(0, 2, (2, BATCH))],
    }


def run(program, steps: int, state=None, first: int = 0):
    """State after some steps, and the statistics of all of them."""
    if state is None:
        state = program.init(jax.random.key(0))
    key = jax.device_put(jax.random.key(1), program.replicated)
    stats = []
    for index in range(first, first + steps):
        batch = {
            name: jax.device_put(a, program.batch_sharding[name])
            for name, a in batch_of(index).items()
        }
        state, more = program.step(index, state, batch, key)
        stats += more
    return jax.device_get(state), jax.device_get(stats)


def assert_same_states(a, b, tolerance: float):
    """Leaves agree within `tolerance` of the largest entry of each, plus as much."""
    leaves = zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    )
    for (path, x), y in leaves:
        worst = np.abs(x - y).max(initial=0)
        allowed = tolerance * (1 + np.abs(x).max(initial=0))
        assert worst <= allowed, f"{jax.tree_util.keystr(path)}: {worst} > {allowed}"


def test_one_and_eight_devices_train_alike():
    assert len(jax.devices()) >= 8
    made = (make_program(devices=n, ema_buffers="measured") for n in (1, 8))
    one, eight = (run(program, 3) for program in made)
    # Summation orders differ; Adam magnifies the rounding of gradients near zero.
    assert_same_states(one[0], eight[0], 2e-4)
    for a, b in zip(one[1], eight[1], strict=True):
        for name, sums in a.items():
            np.testing.assert_allclose(sums, b[name], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_only_gradients_and_statistics_pass_between_devices():
    program = make_program(devices=8)
    collectives.assert_only_gradients_and_statistics_pass(program, batch_of(0))


@pytest.mark.slow
def test_one_update_equals_that_of_two_microbatches():
    whole, halves = (run(make_program(microbatch=n), 1)[0] for n in (None, 4))
    for network in ("G", "D"):
        a = getattr(whole, network)["params"]
        b = getattr(halves, network)["params"]
        # The running averages of G move between the halves, by 1e-3 of a difference.
        assert_same_states(a, b, 2e-3)
    start = jax.device_get(make_program().init(jax.random.key(0)))
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), whole.G, start.G)
    assert max(jax.tree.leaves(moved)) > 1e-3


def test_labels_of_no_numbers_are_dealt_out_like_others():
    assert draws.split(jnp.zeros((8, 0)), 2, 2).shape == (2, 4, 0)


def test_gradients_of_halves_average_to_those_of_the_whole():
    """Exactly the accumulation, before Adam: only the order of sums differs."""
    setup = make_setup()
    state = make_program().init(jax.random.key(0))
    images = jnp.asarray(batch_of(0)["image"], jnp.float32) / 127.5 - 1
    parts = draws.split(images, 2, 2)
    np.testing.assert_array_equal(parts[0], images[np.array([0, 1, 4, 5])])

    @jax.jit
    def gradient(images, c):
        phase = phases.Phase("Dreg", "D")
        models = step.objectives.Models(state.G, state.D, state.pl_mean, jnp.float32(0))
        z = jnp.zeros((len(images), 8))
        inputs = step.objectives.Inputs(
            images, c, z, c, z, jnp.int32(5), jnp.zeros((0,)), jax.random.key(0)
        )
        return step.gradients(setup, phase, models, inputs)[0]

    labels = jnp.tile(jnp.asarray([[1.0, 0.0]]), (BATCH, 1))
    whole = gradient(images, labels)
    halves = [gradient(part, labels[:4]) for part in parts]
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *halves)
    assert_same_states(jax.device_get(whole), jax.device_get(mean), 1e-6)


def test_nothing_compiles_after_the_first_steps():
    program = make_program()
    state, _ = run(program, 3)  # all phases have run twice
    state = jax.device_put(state, program.replicated)
    compiled = []

    def listen(event, duration, **kwargs):
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    run(program, 3, state, first=3)
    assert compiled == []
    jax.jit(lambda x: x * 3.25 + len(compiled))(jnp.ones(7))  # the listener hears
    assert compiled != []


def test_regulariser_leaves_reg_free_moments_alone():
    program = make_program()
    state = program.init(jax.random.key(0))
    opt = state.D_opt.inner_states
    counts = {
        name: [int(x) for x in jax.tree.leaves(opt[name]) if x.dtype == jnp.int32]
        for name in ("usual", "reg_free")
    }
    assert counts["usual"] and counts["reg_free"]
    state, _ = run(program, 1, state)
    after = state.D_opt.inner_states
    ints = lambda tree: [x for x in jax.tree.leaves(tree) if x.dtype == np.int32]  # noqa: E731
    assert [int(x) for x in ints(after["usual"])][0] == 2  # Dmain and Dreg
    assert [int(x) for x in ints(after["reg_free"])][0] == 1  # Dmain alone


def test_frozen_layers_of_D_stay_bit_for_bit_and_the_next_one_learns():
    frozen = make_setup(freeze_d=5)
    assert frozen.frozen[3:] == ("b16/skip", "b8/conv0")
    program = step.make_program(
        frozen, batch_size=BATCH, D_reg_interval=2, devices=jax.devices()[:1]
    )
    state = program.init(jax.random.key(0))
    start = jax.device_get(state.D["params"])
    batch = jax.device_put(batch_of(0), program.batch_sharding)
    key = jax.device_put(jax.random.key(1), program.replicated)
    for name in ("Dmain", "Dreg"):
        state, _ = program.updates[name](state, batch, key)
    after = jax.device_get(state.D["params"])
    same = jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), start, after)
    assert all(jax.tree.leaves([same["b16"], same["b8"]["conv0"]]))
    rest = [same["b8"]["conv1"], same["b8"]["skip"], same["b4"]]
    assert not any(jax.tree.leaves(rest))


@pytest.mark.parametrize(
    "architecture, first, count",
    [
        ("resnet", "fromrgb conv0 conv1 skip", 7),
        ("orig", "fromrgb conv0 conv1", 5),
        ("skip", "fromrgb conv0 conv1", 6),
    ],
)
def test_layers_of_D_are_counted_from_the_images_on(architecture, first, count):
    D = discriminator.make_discriminator(resolution=16, architecture=architecture)
    shapes = jax.eval_shape(D.init, jax.random.key(0), jnp.zeros((4, 16, 16, 3)))
    assert len(D.block_layers) == count
    assert D.block_layers[: len(first.split())] == tuple(
        f"b16/{name}" for name in first.split()
    )
    for path in D.block_layers:
        block, layer = path.split("/")
        assert layer in shapes["params"][block]


@pytest.mark.parametrize("count", [-1, 8])
def test_impossible_numbers_of_frozen_layers_are_refused(count):
    with pytest.raises(
        ValueError, match=f"freeze_d={count} must be 0 to 7, the layers of D"
    ):
        make_setup(freeze_d=count)


def test_each_phase_takes_labels_to_generate_of_its_own():
    program = make_program()
    key = jax.device_put(jax.random.key(1), program.replicated)

    def loss(phase, changed=None):
        batch = batch_of(0)
        if changed is not None:
            batch["gen_label"][changed] = 1 - batch["gen_label"][changed]
        batch = jax.device_put(batch, program.batch_sharding)
        state = program.init(jax.random.key(0))
        _, stats = program.updates[phase](state, batch, key)
        return float(stats["Loss/scores/fake"][1])

    for phase, own in (("Gboth", 0), ("Dmain", 1)):
        assert loss(phase) == loss(phase, changed=1 - own) != loss(phase, changed=own)


def test_averages_follow_G_in_the_discriminators_phase_only():
    program = make_program()
    start = jax.device_get(program.init(jax.random.key(0)))
    key = jax.device_put(jax.random.key(1), program.replicated)
    batch = jax.device_put(batch_of(0), program.batch_sharding)
    state, _ = program.updates["Gboth"](program.init(jax.random.key(0)), batch, key)
    assert_same_states(start.G["buffers"], jax.device_get(state.G["buffers"]), 0)
    state, _ = program.updates["Dmain"](state, batch, key)
    changed = jax.tree.map(
        lambda a, b: not np.array_equal(a, b), start.G["buffers"], state.G["buffers"]
    )
    assert changed["mapping"]["w_avg"]
    for name, layer in changed["synthesis"].items():
        fixed = {"freqs": False, "phases": False}
        assert layer == (fixed if name == "input" else {"magnitude_ema": True})


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"batch_size": 6, "devices": 4}, "batch_size=6 must be a multiple of 4, "),
        ({"batch_size": 8, "microbatch": 3}, "microbatch=3 .* use none or 1, 2, 4, 8"),
        (
            {"batch_size": 8, "microbatch": 2, "devices": 4},
            "4 devices: .* or 4, 8",
        ),
        ({"batch_size": 6, "microbatch": 3}, "microbatch=3 .*mbstd_group_size=2"),
        ({"batch_size": 8, "microbatch": 0}, "microbatch=0 does not divide"),
        (
            {"batch_size": 0},
            "batch_size=0 must be a multiple of 1, the number of devices, above 0",
        ),
        ({"batch_size": 8, "beta2": 2.0}, "updates.beta2=2.0 must be .* below 1"),
        ({"batch_size": 8, "G_lr": -1.0}, "updates.G_lr=-1.0 must be at least 0"),
        ({"batch_size": 8, "ema_kimg": -1.0}, "updates.ema_kimg=-1.0 must be"),
        (
            {"batch_size": 8, "implementation": "palas"},
            "updates.implementation='palas'.*xla, pallas",
        ),
        ({"batch_size": 8, "D_reg_interval": 0}, "D_reg_interval=0 must be at least 1"),
        ({"batch_size": 8, "G_reg_interval": 4}, "pl_weight=0: set losses.pl_weight"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    devices = jax.devices()[: settings.pop("devices", 1)]
    with pytest.raises(ValueError, match=message):
        step.make_program(make_setup(), devices=devices, **settings)


def test_penalty_of_no_weight_is_refused_as_a_phase_and_left_out_of_one():
    setup = dataclasses.replace(make_setup(), r1_gamma=0.0)
    one = jax.devices()[:1]
    with pytest.raises(ValueError, match="r1_gamma=0: set losses.r1_gamma"):
        step.make_program(setup, devices=one, batch_size=8)
    program = step.make_program(setup, devices=one, batch_size=8, D_reg_interval=None)
    state = jax.eval_shape(program.init, jax.random.key(0))
    _, stats = jax.eval_shape(
        program.updates["Dboth"], state, batch_of(0), jax.random.key(0)
    )
    assert "Loss/D/loss" in stats and "Loss/r1_penalty" not in stats


def test_no_path_length_depends_on_the_bias_that_is_reg_free():
    setup = dataclasses.replace(make_setup(), pl_weight=0.5)
    (name,) = phases.reg_free(setup)["G"]
    G = jax.eval_shape(setup.G.initialize, jax.random.key(0))["params"]["synthesis"]
    layer = G[name.removesuffix("/bias")]
    assert layer["bias"].shape == (setup.D.img_channels,)


def test_phases_form_the_published_table():
    names = [[p.name for p in phases.make_phases(*i)] for i in ((None, 16), (4, None))]
    assert names == [["Gboth", "Dmain", "Dreg"], ["Gmain", "Greg", "Dboth"]]
    _, _, reg = phases.make_phases(None, 16)
    assert (reg.interval, reg.gain, reg.is_reg) == (16, 16, True)
