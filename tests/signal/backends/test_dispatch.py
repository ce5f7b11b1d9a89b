"""An implementation is chosen by operator, platform and shape, or by name."""

import ast
import contextlib
import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from afgan_jax.signal import (
    activations,
    convolve,
    filters,
    nonlinearity,
    operators,
    resample,
)
from afgan_jax.signal.backends import dispatch

SIGNAL = pathlib.Path(dispatch.__file__).parents[1]
BAND = (2.0, 6.0, 32.0)
UP = filters.lowpass(12, *BAND)
DOWN = {radial: filters.lowpass(12, *BAND, radial=radial) for radial in (False, True)}


def operator(radial: bool = False, up: int = 2, size: int = 16):
    to_fine = resample.make_resampling((size, size), UP, up=up, pad=12)
    to_coarse = resample.make_resampling(to_fine.size_out, DOWN[radial], down=2)
    act = activations.Activation("lrelu")
    return operators.FilteredActivation(act, to_fine, to_coarse)


@pytest.mark.parametrize(
    "platform, settings, channels, name",
    [
        ("cpu", {}, 512, "polyphase"),
        ("cpu", {"radial": True}, 8, "polyphase"),
        ("cuda", {}, 512, "slices"),
        ("cuda", {"radial": True}, 8, "slices"),
        ("rocm", {}, 512, "banded"),
        ("tpu", {}, 512, "banded"),
        ("tpu", {}, 127, "blocks"),
        ("tpu", {"radial": True}, 512, "blocks"),
        ("tpu", {"up": 4}, 512, "blocks"),
    ],
)
@pytest.mark.parametrize("operation", ["filtered", "filtered_gradient"])
def test_filtered_activation_is_chosen_by_platform_and_shape(
    operation, platform, settings, channels, name
):
    op, shape = operator(**settings), (2, 16, 16, channels)
    assert dispatch.choose(operation, op, platform, shape) == name
    for wish in ("polyphase", "banded", "blocks", "depthwise", "fused", "slices"):
        found = dispatch.choose(operation, op, platform, shape, wish=wish)
        no_card = platform == "cuda" and wish == "fused"
        assert found == ("slices" if no_card else wish)


@pytest.mark.parametrize("size, dtype, name", [(256, "f2", "fused"), (256, "f4", None)])
def test_kernel_gives_way_to_banded_matrices_where_the_chip_is_too_small(
    size, dtype, name
):
    op, shape = operator(size=size), (1, size, size, 128)
    found = dispatch.choose("filtered", op, "tpu", shape, np.dtype(dtype), "fused")
    assert found == (name or "banded")


@pytest.mark.parametrize(
    "operation, cpu, cuda, tpu",
    [
        ("resample", "polyphase", "slices", "banded"),
        ("conv", "extra_row", "xla", "xla"),
        ("conv_weights", "taps", "padded", "xla"),
    ],
)
def test_linear_operators_are_chosen_by_platform(operation, cpu, cuda, tpu):
    shape = (2, 16, 16, 8)
    op = operators.Convolution((3, 3), 1, 1, (2, 2), (16, 16), (18, 18))
    for platform, expected in {"cpu": cpu, "cuda": cuda, "tpu": tpu}.items():
        assert dispatch.choose(operation, op, platform, shape) == expected
        naive = dispatch.NAIVE[operation]
        assert dispatch.choose(operation, op, platform, shape, wish=naive) == naive


@pytest.mark.parametrize("size, name", [(128, "phases"), (126, "extra_row")])
def test_a_cpu_convolves_large_maps_by_phases_where_most_samples_are_zero(size, name):
    sides = (size // 2, size // 2), (size, size + 2)
    op = operators.Convolution((3, 3), 1, 2, (2, 2), *sides)
    assert dispatch.choose("conv", op, "cpu", (2, *sides[0], 8)) == name
    wide = dataclasses.replace(op, size_in=sides[1], up=1)
    assert dispatch.choose("conv", wide, "cpu", (2, *sides[1], 8)) == "extra_row"


@pytest.mark.parametrize(
    "kernel, stride, lo, size_out, name",
    [
        (3, 1, 1, 16, "xla"),
        (3, 1, 0, 14, "xla"),
        (3, 1, 2, 18, "padded"),
        (3, 1, 0, 15, "xla"),
        (3, 1, 0, 16, "padded"),
        (3, 1, -1, 12, "padded"),
        (3, 2, 1, 8, "padded"),
        (1, 1, 0, 16, "xla"),
        (1, 2, 0, 8, "padded"),
    ],
)
def test_cuda_pads_before_the_weight_gradient_what_cudnn_would_not_know(
    kernel, stride, lo, size_out, name
):
    sides = (16, 16), (size_out, size_out)
    op = operators.Convolution((kernel, kernel), stride, 1, (lo, lo), *sides)
    assert dispatch.choose("conv_weights", op, "cuda", (2, 16, 16, 8)) == name


def test_every_operation_has_its_implementations_in_every_table():
    assert dispatch.TABLE.keys() == dispatch.IMPLEMENTATIONS.keys()
    assert dispatch.NAIVE.keys() == dispatch.TABLE.keys() - {"filtered_gradient"}
    both = (dispatch.IMPLEMENTATIONS[n] for n in ("filtered", "filtered_gradient"))
    assert len({tuple(names) for names in both}) == 1
    for operation, names in dispatch.TABLE.items():
        known = dispatch.IMPLEMENTATIONS[operation].keys()
        assert "default" in names and known >= set(names.values())


def lowered_gradient(platform: str, channels: int = 8, radial: bool = True) -> str:
    def loss(x, w):
        y = convolve.conv(x, w, pad=2)
        how = {"up": 2, "down": 2, "pad": (9, 8)}
        return jnp.sum(nonlinearity.filtered_lrelu(y, None, UP, DOWN[radial], **how))

    shapes = jnp.zeros((2, 16, 16, channels)), jnp.zeros((3, 3, channels, channels))
    traced = jax.jit(jax.grad(loss, (0, 1))).trace(*shapes)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def test_cpu_sums_slices_and_multiplies_taps():
    text = lowered_gradient("cpu")
    assert text.count("stablehlo.slice") > 100
    assert text.count("dot_general") == 1  # the weight gradient


@pytest.mark.parametrize("platform, radial, least", [("tpu", 0, 6), ("rocm", 1, 10)])
def test_accelerators_multiply_banded_matrices(platform, radial, least):
    text = lowered_gradient(platform, channels=128, radial=bool(radial))
    assert text.count("dot_general") >= least  # up again, transposes of down and up
    assert text.count("stablehlo.slice") < 20


@pytest.mark.parametrize("radial", [False, True])
def test_cuda_sums_slices_and_convolves_blocks_where_filters_are_radial(radial):
    text = lowered_gradient("cuda", 128, radial)
    assert "dot_general" not in text
    assert text.count("stablehlo.slice") > 20
    assert ("x256xf32>" in text) == radial  # 16 x 16 pixels as features


@pytest.mark.parametrize("channels, radial", [(8, False), (128, True)])
def test_tpu_convolves_blocks_where_filters_are_radial_or_channels_few(
    channels, radial
):
    text = lowered_gradient("tpu", channels, radial)
    assert "dot_general" not in text
    assert "tensor<2x2x64x256xf32>" in text  # 8 x 8 pixels as features, up to 16 x 16


def test_no_program_gathers_the_images_that_devices_share():
    """Also where nothing says how they are shared; inside split_over rows are local."""
    mesh = Mesh(np.asarray(jax.devices()[:2]), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    x = jax.ShapeDtypeStruct((4, 16, 16, 4), jnp.float32, sharding=rows)
    how = {"up": 2, "down": 2, "pad": 12, "implementation": "slices"}

    def act(x):
        return jax.vjp(
            lambda x: nonlinearity.filtered_lrelu(x, None, UP, UP, **how), x
        )[1](jnp.ones((4, 17, 17, 4)))

    for function in (act, dispatch.split_over(mesh)(act)):
        text = jax.jit(function).lower(x).compile().as_text()
        assert "all-gather" not in text


@pytest.mark.parametrize("count, stated", [(None, False), (1, True), (2, True)])
def test_layouts_are_stated_where_a_device_has_arrays_whole(count, stated):
    mesh = Mesh(np.asarray(jax.devices()[: count or 1]), ("data",))
    split = dispatch.split_over(mesh) if count else contextlib.nullcontext()
    with split:
        traced = jax.jit(
            lambda x: nonlinearity.filtered_lrelu(x, None, UP, UP, up=2, pad=12, down=2)
        ).trace(jnp.zeros((4, 16, 16, 4)))
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert ("LayoutConstraint" in text) == stated


@pytest.mark.parametrize("radial", [False, True])
def test_no_images_are_no_error(radial):
    """jit traces the choice of every platform."""
    how = {"up": 2, "down": 2, "pad": 12}
    run = jax.jit(
        lambda x: nonlinearity.filtered_lrelu(x, None, UP, DOWN[radial], **how)
    )
    assert run(jnp.zeros((0, 16, 16, 4))).shape == (0, 17, 17, 4)


def test_wishes_are_taken_on_every_platform():
    with dispatch.wishes(filtered="banded", resample="banded"):
        text = lowered_gradient("cpu")
    assert text.count("dot_general") >= 10 and text.count("stablehlo.slice") < 20
    with dispatch.wishes(**dispatch.NAIVE):
        text = lowered_gradient("tpu")
    assert "feature_group_count = 8" in text and "dot_general" not in text
    assert "feature_group_count = 8" not in lowered_gradient("tpu")


def test_inner_wishes_go_before_outer_ones_and_arguments_before_both():
    with dispatch.wishes(filtered="banded", conv="xla"):
        with dispatch.wishes(filtered="depthwise"):
            assert dispatch.wish("filtered") == "depthwise"
            assert dispatch.wish("filtered", "polyphase") == "polyphase"
            assert dispatch.wish("conv") == "xla"
        assert dispatch.wish("filtered") == "banded"
    assert dispatch.wish("filtered") is None


@pytest.mark.parametrize(
    "wishes, message",
    [
        (
            {"filtred": "banded"},
            "operation='filtred' is unknown: use one of resample, filt",
        ),
        ({"filtered_gradient": "banded"}, "operation='filtered_gradient' is unknown"),
        (
            {"conv": "fast"},
            "implementation of conv='fast' is unknown: use one of extra_row",
        ),
    ],
)
def test_unknown_wishes_are_refused_by_name(wishes, message):
    with pytest.raises(ValueError, match=message), dispatch.wishes(**wishes):
        pass
    assert dispatch.wish("conv") is None


def test_public_functions_take_and_check_an_implementation():
    x, w = jnp.zeros((1, 8, 8, 2)), jnp.zeros((3, 3, 2, 2))
    runs = {
        "resample": lambda name: resample.upfirdn(x, None, implementation=name),
        "filtered": lambda name: nonlinearity.filtered(
            x, jnp.tanh, None, None, implementation=name
        ),
        "conv": lambda name: convolve.conv(x, w, implementation=name),
        "conv_weights": lambda name: convolve.conv(x, w, weight_implementation=name),
    }
    assert runs.keys() == dispatch.NAIVE.keys()
    for operation, run in runs.items():
        run(dispatch.NAIVE[operation])
        with pytest.raises(
            ValueError, match=f"implementation of {operation}='fast' is"
        ):
            run("fast")
    with pytest.raises(ValueError, match="'banded' takes no parameters"):
        nonlinearity.filtered(x, pow, None, None, w, implementation="banded")


def chain(x, w, p):
    """Every operator that there is, with and without parameters."""
    how = {"up": 2, "down": 2, "pad": 12}
    y = nonlinearity.filtered_lrelu(convolve.conv(x, w, pad=1), None, UP, UP, **how)
    y = nonlinearity.filtered(y, sine, UP, UP, p, **how)
    return resample.upsample(y, UP)


def sine(x, p):
    return jnp.sin(p * x)


def first(f, *arrays):
    def loss(*arrays):
        return jnp.sum(f(*arrays) ** 2)

    return jax.grad(loss, (0, 1, 2))(*arrays)


def second(f, *arrays):
    def penalty(*arrays):
        return sum(jnp.sum(g**2) for g in first(f, *arrays))

    return jax.grad(penalty, (0, 1, 2))(*arrays)


@pytest.mark.parametrize("order", [first, second, None], ids=["first", "second", "y"])
@pytest.mark.parametrize("naive_first", [True, False])
def test_one_process_lowers_both_whatever_was_traced_before(order, naive_first):
    """In either order, the second is what a fresh process would lower."""
    shapes = (2, 12, 12, 3), (3, 3, 3, 3), (3,)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    run = chain if order is None else functools.partial(order, chain)
    sides = {"naive": dispatch.wishes(**dispatch.NAIVE)(run), "chosen": run}
    text = {
        name: jax.jit(sides[name]).lower(*shapes).as_text()
        for name in (("naive", "chosen") if naive_first else ("chosen", "naive"))
    }
    assert "feature_group_count = 3" in text["naive"]
    assert "feature_group_count = 3" not in text["chosen"]
    # Without "depthwise", all that is sliced is sliced by the sums of "polyphase".
    counts = {name: text[name].count("stablehlo.slice") for name in text}
    assert counts["naive"] == 0 < counts["chosen"]


@pytest.mark.parametrize("naive_first", [True, False])
def test_a_network_that_is_rematerialised_lowers_both_in_one_process(naive_first):
    G = tiny.make_generator(
        resolution=16,
        z_dim=8,
        w_dim=8,
        channel_base=64,
        channel_max=8,
        num_layers=3,
        num_critical=1,
        margin=4,
        remat="layer",
    )
    variables = jax.eval_shape(G.initialize, jax.random.key(0))
    ws = jax.ShapeDtypeStruct((2, G.synthesis.num_ws, 8), jnp.float32)

    def loss(variables, ws):
        images = G.apply(variables, ws, method=type(G).synthesize)
        return jnp.sum(images**2)

    def penalty(variables, ws):
        return jnp.sum(jax.grad(loss, 1)(variables, ws) ** 2)

    run = jax.grad(penalty, 1)
    sides = {"naive": dispatch.wishes(**dispatch.NAIVE)(run), "chosen": run}
    for name in ("naive", "chosen") if naive_first else ("chosen", "naive"):
        text = jax.jit(sides[name]).lower(variables, ws).as_text()
        assert ("feature_group_count = 8" in text) == (name == "naive")


def test_signal_reads_no_environment_and_clears_no_caches():
    for file in SIGNAL.rglob("*.py"):
        names = {
            node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Attribute | ast.Name)
        }
        assert not names & {"environ", "getenv", "clear_caches"}, file
