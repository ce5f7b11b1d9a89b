"""The store of statistics, and files that are made to fill the memory."""

import numpy as np
import pytest

from afgan_jax.analysis import spectra
from afgan_jax.metrics import cache

ARRAYS = {"mean": np.arange(3.0)}


def stored(folder) -> tuple:
    """(a store, its only file)."""
    store = cache.Store(lambda: folder)
    store.get(("key",), lambda: ARRAYS)
    (file,) = folder.glob("*.npz")
    return store, file


def test_what_is_stored_is_not_computed_again(tmp_path):
    store, _ = stored(tmp_path)
    found = store.get(("key",), lambda: pytest.fail("computed"))
    np.testing.assert_array_equal(found["mean"], ARRAYS["mean"])


def test_a_compressed_file_is_not_opened(tmp_path):
    """A gigabyte of zeros takes a megabyte there."""
    store, file = stored(tmp_path)
    np.savez_compressed(file, mean=np.zeros(3), digest=np.array("x"))
    found = store.get(("key",), lambda: {"mean": np.ones(3)})
    np.testing.assert_array_equal(found["mean"], np.ones(3))
    np.savez_compressed(tmp_path / "power.npz", power=np.ones((8, 8)))
    with pytest.raises(ValueError, match="it is compressed: write it with numpy.savez"):
        spectra.read(str(tmp_path / "power.npz"), "calc", ("power",))
