"""Low-pass designs against the recorded taps; which layer uses which design."""

import numpy as np
import pytest

from afgan_jax.networks import plan
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


@pytest.mark.parametrize("network", sorted(INDEX.get("layer_filters", {})))
def test_plan_gives_each_layer_its_recorded_filters(network):
    config, resolution = network.split("_")[:2]
    doubled = 2 if config == "R" else 1
    layers = plan.make_plan(
        resolution=int(resolution),
        channel_base=32768 * doubled,
        channel_max=512 * doubled,
        conv_kernel=1 if config == "R" else 3,
        radial=config == "R",
    )
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
