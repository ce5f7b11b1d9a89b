"""Low-pass designs against the recorded taps; which layer uses which design."""

import re

import numpy as np
import pytest

from afgan_jax.interop import names as published
from afgan_jax.networks import generator
from afgan_jax.signal import filters
from reference import official

INDEX = official.index("filters")


@pytest.mark.parametrize("case", INDEX["cases"], ids=lambda c: c["id"])
def test_lowpass_has_the_recorded_taps(case):
    taps = filters.lowpass(
        case["numtaps"],
        case["cutoff"],
        case["width"] / 2,
        case["fs"],
        radial=case["radial"],
    )
    arrays = official.Arrays("filters", INDEX["file"], case["id"] + "/")
    official.assert_close(taps, arrays["taps_f64"], 1e-13, "taps in float64")
    np.testing.assert_array_equal(taps.astype(np.float32), arrays["taps"])


def settings(network):
    """Of the recorded plan by this name; else <T or R>_<resolution> says it all."""
    for case in official.index("schedule")["cases"]:
        if case["id"] == network:
            kwargs = case["kwargs"]
            return published.generator_settings(kwargs, "alias_free")["synthesis"]
    found = re.fullmatch(r"([TR])_(\d+)", network)
    assert found, f"no runner for the plan {network!r}: schedule does not have it"
    of_config = {
        "T": {},
        "R": {"conv_kernel": 1, "radial": True}
        | {"channel_base": 65536, "channel_max": 1024},
    }
    return of_config[found[1]] | {"resolution": int(found[2])}


@pytest.mark.parametrize("network", sorted(INDEX.get("layer_filters", {})))
def test_plan_gives_each_layer_its_recorded_filters(network):
    layers = generator.make_generator({}, settings(network)).synthesis.layers
    rows = INDEX["layer_filters"][network]
    assert [spec.name for spec in layers] == [row["layer"] for row in rows]
    arrays = official.Arrays("filters", INDEX["file"])
    for spec, row in zip(layers, rows):
        for ours, design in ((spec.up_filter, "up"), (spec.down_filter, "down")):
            if row[design] is None:
                assert ours is None
            else:
                official.assert_close(
                    ours, arrays[row[design] + "/taps_f64"], 1e-13, spec.name
                )
