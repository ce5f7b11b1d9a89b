"""Snapshots that the published program wrote: every recorded file, bit for bit."""

import numpy as np
import pytest

from afgan_jax.interop import persistence
from reference import official

CASES = official.index("pickles")["cases"]

if CASES:

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
    def test_snapshots_hold_the_recorded_arrays_and_settings(case):
        found = persistence.read(official.folder() / "pickles" / case["file"])
        assert list(found) == case["top_level_keys"]
        assert found["training_set_kwargs"] == case["training_set_kwargs"]
        assert (found["augment_pipe"] is not None) == case["has_augment_pipe"]
        for network, kwargs in case["init_kwargs"].items():
            assert found[network].kwargs == kwargs
        arrays = official.Arrays("pickles", case["expected"]).under("state/")
        assert len(arrays) == case["array_count"]
        networks = [n for n in found.values() if isinstance(n, persistence.Module)]
        assert sum(len(n.arrays) for n in networks) == len(arrays)
        for name, expected in arrays.items():
            network, _, dotted = name.partition("/")
            np.testing.assert_array_equal(found[network].arrays[dotted], expected)
            assert found[network].arrays[dotted].dtype == expected.dtype
