"""The bench command turns JAX's cache of programs off, for its process."""

import jax
import pytest


@pytest.fixture(autouse=True)
def compilation_cache_as_before():
    before = jax.config.jax_enable_compilation_cache
    yield
    jax.config.update("jax_enable_compilation_cache", before)
