"""Layer tables and parameter counts against the recorded ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.interop import names as published
from afgan_jax.networks import discriminator, generator, half_precision
from afgan_jax.signal.backends import dispatch
from reference import official

CASES = official.index("schedule")["cases"]


def count(tree) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def generator_shapes(G):
    z, c = jnp.zeros((1, G.mapping.z_dim)), jnp.zeros((1, G.mapping.c_dim))
    keys = {"params": jax.random.key(0), "noise": jax.random.key(0)}
    return jax.eval_shape(G.init, keys, z, c if G.mapping.c_dim else None)["params"]


def check_stylegan3(case):
    G = half("alias_free", case["kwargs"])
    params = generator_shapes(G)
    layers = G.synthesis.layers
    first = layers[0]
    entry = case["input"]
    assert entry["channels"] == first.in_channels
    assert tuple(entry["size"]) == first.in_size
    assert entry["sampling_rate"] == first.in_band.rate
    assert entry["bandwidth"] == pytest.approx(first.in_band.cutoff, rel=1e-9)
    assert entry["num_params"] == count(params["synthesis"]["input"])
    assert case["num_ws"] == G.synthesis.num_ws
    assert case["output_scale"] == G.synthesis.output_scale
    assert len(case["layers"]) == len(layers)
    for spec, row in zip(layers, case["layers"]):
        exact = {
            "name": spec.name,
            "in_channels": spec.in_channels,
            "out_channels": spec.out_channels,
            "in_size": list(spec.in_size[::-1]),
            "out_size": list(spec.out_size[::-1]),
            "in_sampling_rate": spec.in_band.rate,
            "out_sampling_rate": spec.out_band.rate,
            "tmp_sampling_rate": spec.tmp_rate,
            "up_factor": spec.up,
            "down_factor": spec.down,
            "up_taps": spec.up_taps,
            "down_taps": spec.down_taps,
            "padding": [*spec.pad[1], *spec.pad[0]],
            "conv_kernel": spec.conv_kernel,
            "is_torgb": spec.is_rgb,
            "is_critically_sampled": spec.is_critical,
            "down_radial": spec.is_radial,
            "conv_clamp": G.synthesis.conv_clamp,
            "use_fp16": spec.dtype == "bfloat16",
            "up_filter_shape": shape(spec.up_filter),
            "down_filter_shape": shape(spec.down_filter),
            "num_params": count(params["synthesis"][spec.name]),
        }
        for key, value in exact.items():
            assert row[key] == value, (spec.name, key)
        for side, band in (("in", spec.in_band), ("out", spec.out_band)):
            assert row[f"{side}_cutoff"] == pytest.approx(band.cutoff, rel=1e-9)
            assert row[f"{side}_half_width"] == pytest.approx(band.half_width, rel=1e-9)
    check_counts(case["params"], params)


def shape(taps):
    return None if taps is None else list(taps.shape)


def check_counts(recorded, params):
    for part in ("mapping", "synthesis"):
        assert recorded[part] == count(params[part])
    assert recorded["total"] == count(params)


def check_stylegan2(case):
    G = half("stylegan2", case["kwargs"])
    params = generator_shapes(G)
    assert case["num_ws"] == G.synthesis.num_ws
    for row in case["blocks"]:
        assert row["num_params"] == count(params["synthesis"][row["name"]])
        found = {s.dtype for s in G.synthesis.layers if s.block == row["name"]}
        assert found == {"bfloat16" if row["use_fp16"] else "float32"}
    check_counts(case["params"], params)


def half(kind, kwargs):
    settings = published.generator_settings(kwargs, kind)
    return generator.make_generator(**generator.changed(settings, dtype="bfloat16"))


def check_discriminator(case):
    D = discriminator.make_discriminator(
        **published.discriminator_settings(case["kwargs"]), dtype="bfloat16"
    )
    images = jnp.zeros((1, D.resolution, D.resolution, D.img_channels))
    c = jnp.zeros((1, D.c_dim)) if D.c_dim else None
    params = jax.eval_shape(D.init, jax.random.key(0), images, c)["params"]
    for row in case["blocks"]:
        at = (row["resolution"], D.resolution, D.dtype, D.num_half_res)
        found = half_precision.dtype_at(*at)
        assert row["use_fp16"] == (found == "bfloat16"), row["name"]
        block = params[row["name"]]
        assert row["num_params"] == count(block)
        for conv in ("conv0", "conv1", "fromrgb", "skip"):
            sizes = list(block[conv]["weight"].shape[2:]) if conv in block else None
            assert row[conv] == sizes, (row["name"], conv)
    epilogue, b4 = case["epilogue"], params["b4"]
    assert epilogue["num_params"] == count(b4)
    assert epilogue["out"] == list(b4["out"]["weight"].shape)[::-1]
    assert epilogue["fc"] == list(b4["fc"]["weight"].shape)[::-1]
    assert case["params"]["total"] == count(params)
    assert case["params"]["mapping"] == count(params.get("mapping", {}))


CHECKS = {
    "stylegan3": check_stylegan3,
    "stylegan2": check_stylegan2,
    "discriminator": check_discriminator,
}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_network_has_the_recorded_shape(case):
    assert case["network"] in CHECKS, f"no runner for network {case['network']!r}"
    dispatch.briefly(CHECKS[case["network"]])(case)
