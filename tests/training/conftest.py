"""What tests of whole runs share."""

import numpy as np
import pytest

from afgan_jax.data import archive


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A small archive: these runs need not build the embedded set."""
    path = tmp_path_factory.mktemp("images") / "noise.zip"
    rng = np.random.default_rng(0)
    archive.write_archive(path, rng.integers(0, 256, (40, 16, 16, 3), np.uint8))
    return path
