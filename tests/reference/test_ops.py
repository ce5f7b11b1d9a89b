"""Single operations and layers: values, first and second order gradients.

With y the output and R a fixed weighting, grad/n = d sum(y R) / dn, and with
g = d (1/2 sum(R y^2)) / dx, penalty = sum(g^2), grad2/n = d penalty / dn. A runner
takes recorded inputs to results {"y": .., ..}, both in the recorded layout (NCHW),
so that derivatives come out in that layout too.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.interop import names as published
from afgan_jax.networks import (
    alias_free,
    conv_layer,
    dense,
    fourier_input,
    minibatch_stddev,
    modulation,
    plan,
    stylegan2,
    stylegan2_plan,
)
from afgan_jax.signal import activations, conv_resample, nonlinearity, resample
from afgan_jax.signal.backends import dispatch
from reference import official

CASES = official.index("ops")["cases"]
# Five to thirty times the rounding measured in the recorded float32 runs.
FIRST_ORDER, SECOND_ORDER = 2e-5, 5e-5


# Every implementation that a CPU would not take, and what depends on it.
WISHES = {
    "banded": {
        "resample": "banded",
        "filtered": "banded",
        "conv": "xla",
        "conv_weights": "xla",
    },
    "naive": dispatch.NAIVE,
    "blocks": {"filtered": "blocks"},
    "slices": {"filtered": "slices", "resample": "slices", "conv_weights": "padded"},
    "fused": {"filtered": "fused"},
    "fused_gpu": {"filtered": "fused_gpu"},
}
# Settings that the shapes of arrays repeat, or that choose among equal computations.
WITHOUT_EFFECT = {"fused_modconv", "forward.fused_modconv", "init.resolution"}
WITHOUT_EFFECT |= {"init.w_dim", "init.in_channels"}
FILTERED = ("filtered_lrelu", "synthesis_layer_sg3")
PLAIN = ("bias_act", "minibatch_std", "normalize_2nd_moment", "synthesis_input_sg3")
PLAIN += ("fully_connected_sg3", "fully_connected_sg2", "setup_filter")
WITH_WISHES = [
    pytest.param(case, name, id=f"{case['id']}-{name}")
    for case in CASES
    for name in WISHES
    if case["op"] in FILTERED
    or (name not in ("blocks", "fused", "fused_gpu") and case["op"] not in PLAIN)
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_operation_has_the_recorded_values_and_gradients(case):
    check(case)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "name"), WITH_WISHES)
def test_every_implementation_has_the_recorded_values_and_gradients(case, name):
    with dispatch.wishes(**WISHES[name]):
        check(case)


def check(case):
    assert case["op"] in RUNNERS, f"no runner for operation {case['op']!r}"
    arrays = official.Arrays("ops", case["file"], case["id"] + "/")
    inputs = arrays.under("in/")
    inputs |= {n.removeprefix("state/"): inputs.pop(n) for n in list(inputs)}
    weighting = inputs.pop("R", None)
    outputs = arrays.under("out/")
    padding = outputs.pop("padding_x0x1y0y1", None)
    if padding is not None:
        inputs["padding"] = padding
    params = official.Settings(case["params"])
    run = RUNNERS[case["op"]](params, inputs)
    official.only(params.unread(), WITHOUT_EFFECT, f"settings of {case['id']}:")
    wanted = {n: inputs[n] for n in arrays.under("grad/")}
    rest = {n: a for n, a in inputs.items() if n not in wanted}
    found = everything(run, wanted, rest, weighting, "penalty" in outputs)
    for name, recorded in outputs.items():
        tolerance = SECOND_ORDER if name == "penalty" else FIRST_ORDER
        official.assert_close(found["out"][name], recorded, tolerance, name)
    for order, tolerance in (("grad", FIRST_ORDER), ("grad2", SECOND_ORDER)):
        for name, recorded in arrays.under(order + "/").items():
            official.assert_close(
                found[order][name], recorded, tolerance, f"{order}/{name}"
            )


def everything(run, wanted, rest, weighting, second):
    """{"out": .., "grad": .., "grad2": ..} of a runner, in one compiled program."""

    def weighted(inputs, rest):
        out = run(inputs | rest)
        total = jnp.sum(out["y"] * weighting) if wanted else 0.0
        return total, out

    def penalty(inputs, rest):
        def half_square(x):
            y = run(inputs | rest | {"x": x})["y"]
            return 0.5 * jnp.sum(weighting * jnp.square(y))

        return jnp.sum(jnp.square(jax.grad(half_square)(inputs["x"])))

    @jax.jit
    def compute(wanted, rest):
        found = {}
        first = jax.value_and_grad(weighted, has_aux=True)
        (_, found["out"]), found["grad"] = first(wanted, rest)
        if second:
            p, found["grad2"] = jax.value_and_grad(penalty)(wanted, rest)
            found["out"] = found["out"] | {"penalty": p}
        return found

    return compute(wanted, rest)


def taps(params, f):
    """Recorded taps; flip_filter asks for correlation, the reverse of ours."""
    flip = params.get("flip_filter")
    if f is None or not flip:
        return f
    return f[::-1] if f.ndim == 1 else f[::-1, ::-1]


def setup_filter(params, inputs):
    """A prepared filter is the impulse response of a resampling with those taps."""
    f = np.atleast_1d(np.asarray(inputs.pop("f", 1.0), np.float64))
    f = taps(params, f / f.sum() if params.get("normalize", True) else f)
    separable, gain = params.get("separable", f.size >= 8), params.get("gain", 1)
    is_row = f.ndim == 1 and separable
    pad = tuple((k - 1, k - 1) for k in (f.shape * 2)[:2])

    def run(_):
        one = jnp.ones((1, 1, 1, 1))
        y = resample.upfirdn(one, f, pad=pad, gain=gain)[0, :, :, 0]
        return {"f": y.sum(axis=0) / jnp.sqrt(y.sum()) if is_row else y}

    return run


def upfirdn(params, inputs):
    f = taps(params, inputs.pop("f", None))
    settings = {
        "up": official.yx(params.get("up", 1)),
        "down": official.yx(params.get("down", 1)),
        "pad": official.pads(params.get("padding", 0)),
        "gain": params.get("gain", 1.0),
    }
    return lambda i: image(resample.upfirdn(official.nhwc(i["x"]), f, **settings))


def keeping_canvas(function, factor=None):
    """Runner of one of the helpers that add the padding for their filter."""

    def runner(params, inputs):
        f = taps(params, inputs.pop("f", None))
        settings = {
            "pad": official.pads(params.get("padding", 0)),
            "gain": params.get("gain", 1.0),
        }
        if factor in params:
            settings[factor] = official.yx(params[factor])
        return lambda i: image(function(official.nhwc(i["x"]), f, **settings))

    return runner


def bias_act(params, inputs):
    act = activations.Activation(
        params["act"],
        params.get("gain"),
        params.get("alpha", 0.2),
        params.get("clamp"),
    )
    axis = params.get("dim", 1)

    def run(inputs):
        x = inputs["x"]
        if "b" in inputs:
            shape = [1] * x.ndim
            shape[axis] = -1
            x = x + inputs["b"].reshape(shape)
        return {"y": act(x)}

    return run


def filtered_lrelu(params, inputs):
    up_filter, down_filter = (taps(params, inputs.pop(n, None)) for n in ("fu", "fd"))
    settings = params.take("up", "down", "gain", "slope", "clamp")
    settings["pad"] = official.pads(params.get("padding", 0))
    return lambda i: image(
        nonlinearity.filtered_lrelu(
            official.nhwc(i["x"]), i.get("b"), up_filter, down_filter, **settings
        )
    )


def modulated_conv2d_sg3(params, inputs):
    padding = params.get("padding", 0)  # one number or [vertical, horizontal]
    demodulate = params.get("demodulate", True)
    return lambda i: image(
        modulation.modulated_conv(
            official.nhwc(i["x"]),
            published.to_ours("w", i["w"]),
            i["s"],
            demodulate=demodulate,
            input_gain=i.get("input_gain"),
            pad=padding if isinstance(padding, int) else tuple(padding),
        )
    )


def resampling(params, inputs):
    """Arguments of conv_resample.conv_resample."""
    return {
        "f": taps(params, inputs.pop("f", None)),
        "up": params.get("up", 1),
        "down": params.get("down", 1),
        "pad": official.pads(params.get("padding", 0)),
        "flip_weight": not params.get("flip_weight", True),
    }


def modulated_conv2d_sg2(params, inputs):
    settings = resampling(params, inputs)
    demodulate = params.get("demodulate", True)

    def run(inputs):
        y = modulation.modulated_conv(
            official.nhwc(inputs["x"]),
            published.to_ours("w", inputs["w"]),
            inputs["s"],
            demodulate=demodulate,
            normalize=False,
            **settings,
        )
        return {"y": official.nchw(y) + inputs.get("noise", 0.0)}

    return run


def conv2d_resample(params, inputs):
    settings = resampling(params, inputs)
    groups = params.get("groups", 1)

    def run(inputs):
        x = jnp.split(official.nhwc(inputs["x"]), groups, axis=3)
        w = jnp.split(published.to_ours("w", inputs["w"]), groups, axis=3)
        y = [conv_resample.conv_resample(*pair, **settings) for pair in zip(x, w)]
        return image(jnp.concatenate(y, axis=3))

    return run


def minibatch_std(params, inputs):
    groups = params["group_size"], params.get("num_channels", 1)
    return lambda i: image(
        minibatch_stddev.minibatch_stddev(official.nhwc(i["x"]), *groups, "interleaved")
    )


def normalize_2nd_moment(params, inputs):
    axis = params.get("dim", 1)
    return lambda i: {"y": dense.normalize_2nd_moment(i["x"], axis)}


def fully_connected(params, inputs):
    settings = params.take()
    return lambda i: {
        "y": dense.dense(i["x"], i["weight"].T, i.get("bias"), **settings)
    }


def synthesis_input_sg3(params, inputs):
    init = params["init"]
    module = fourier_input.FourierInput(
        init["channels"], size(init["size"]), init["sampling_rate"], init["bandwidth"]
    )
    return lambda i: image(module.apply(published.variables(i), i["w"], i["transform"]))


def synthesis_layer_sg3(params, inputs):
    init = params["init"]
    assert not init.get("use_fp16"), "recorded in float16"
    spec = plan.LayerSpec(
        name="layer",
        in_channels=init["in_channels"],
        out_channels=init["out_channels"],
        in_size=size(init["in_size"]),
        out_size=size(init["out_size"]),
        in_band=band(init, "in"),
        out_band=band(init, "out"),
        conv_kernel=1 if init["is_torgb"] else init.get("conv_kernel", 3),
        filter_size=init.get("filter_size", 6),
        act_up=init.get("lrelu_upsampling", 2),
        lowpass="kaiser",
        radial=init.get("use_radial_filters", False),
        is_rgb=init["is_torgb"],
        is_critical=init["is_critically_sampled"],
    )
    assert spec.pad == official.pads(inputs.pop("padding").tolist())
    for name in ("up_filter", "down_filter"):
        recorded = inputs.pop(name, None)
        ours = getattr(spec, name)
        assert (ours is None) == (recorded is None)
        if ours is not None:
            official.assert_close(ours, recorded, 1e-6, name)
    module = alias_free.SynthesisLayer(
        spec, init.get("conv_clamp", 256), init.get("magnitude_ema_beta", 0.999)
    )
    update = params["forward"].get("update_emas", False)

    def run(i):
        y, state = module.apply(
            published.variables(i),
            official.nhwc(i["x"]),
            i["w"],
            update,
            mutable=["buffers"],
        )
        return image(y) | {"magnitude_ema": state["buffers"]["magnitude_ema"]}

    return run


def size(value):
    return (value, value) if isinstance(value, int) else official.yx(value)


def band(init, side):
    names = ("cutoff", "half_width", "sampling_rate")
    return plan.Band(*(float(init[f"{side}_{name}"]) for name in names))


def conv2d_layer_sg2(params, inputs):
    init, forward = params["init"], params["forward"].take()
    module = conv_layer.ConvLayer(
        init["out_channels"],
        init["kernel_size"],
        clamp=init.get("conv_clamp"),
        **init.take("activation", "bias", "up", "down"),
    )
    return lambda i: image(
        module.apply(published.variables(i), official.nhwc(i["x"]), **forward)
    )


def layer_sg2(init, inputs, up, is_rgb=False):
    _, channels, _, size = inputs["x"].shape
    return stylegan2_plan.LayerSpec(
        name="layer",
        in_channels=channels,
        out_channels=init["out_channels"],
        rate=float(size * up),
        canvas=(size * up, size * up),
        in_canvas=(size, size),
        up=up,
        conv_kernel=1 if is_rgb else 3,
        margin=0,
        lowpass="bilinear",
        filter_size=6,
        magnitude_ema_beta=None,
        noise=not is_rgb,
        is_rgb=is_rgb,
    )


def synthesis_layer_sg2(params, inputs):
    init, forward = params["init"], params["forward"]
    spec = layer_sg2(init, inputs, init.get("up", 1))
    module = stylegan2.SynthesisLayer(spec, init.get("conv_clamp"))
    noise, gain = forward["noise_mode"], forward.get("gain", 1.0)
    return lambda i: image(
        module.apply(published.variables(i), official.nhwc(i["x"]), i["w"], noise, gain)
    )


def to_rgb_sg2(params, inputs):
    init = params["init"]
    module = stylegan2.SynthesisLayer(
        layer_sg2(init, inputs, 1, is_rgb=True), init.get("conv_clamp")
    )
    return lambda i: image(
        module.apply(published.variables(i), official.nhwc(i["x"]), i["w"])
    )


def image(y):
    return {"y": official.nchw(y)}


# Recorded operation: (settings, inputs) -> function of the inputs that remain.
# Filters are settings: a runner takes them out of the inputs.
RUNNERS = {
    "setup_filter": setup_filter,
    "upfirdn2d": upfirdn,
    "filter2d": keeping_canvas(resample.same_size),
    "upsample2d": keeping_canvas(resample.upsample, "up"),
    "downsample2d": keeping_canvas(resample.downsample, "down"),
    "bias_act": bias_act,
    "filtered_lrelu": filtered_lrelu,
    "modulated_conv2d_sg3": modulated_conv2d_sg3,
    "modulated_conv2d_sg2": modulated_conv2d_sg2,
    "conv2d_resample": conv2d_resample,
    "minibatch_std": minibatch_std,
    "normalize_2nd_moment": normalize_2nd_moment,
    "fully_connected_sg3": fully_connected,
    "fully_connected_sg2": fully_connected,
    "synthesis_input_sg3": synthesis_input_sg3,
    "synthesis_layer_sg3": synthesis_layer_sg3,
    "conv2d_layer_sg2": conv2d_layer_sg2,
    "synthesis_layer_sg2": synthesis_layer_sg2,
    "to_rgb_sg2": to_rgb_sg2,
}
