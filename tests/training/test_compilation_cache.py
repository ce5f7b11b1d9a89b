"""Compiled programs are kept by default, where the user wants them."""

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from afgan_jax.training import compilation_cache


@pytest.fixture
def no_folder():
    """As in a session that names no folder, and compiled something."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax_cache.reset_cache()
    jax.jit(lambda x: x - 1)(jnp.ones(3))  # JAX now takes it that none is kept
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    jax_cache.reset_cache()


def test_programs_are_kept_and_found_again(no_folder, tmp_path):
    compilation_cache.keep(tmp_path)
    found = []

    def listen(event, **_):
        if event == "/jax/compilation_cache/cache_hits":
            found.append(event)

    jax.monitoring.register_event_listener(listen)

    def double(x):
        return 2 * x

    jax.jit(double)(jnp.ones(5))
    assert list(tmp_path.glob("*/jit_double-*")) and not found
    jax.clear_caches()
    jax.jit(double)(jnp.ones(5))
    assert found


def test_programs_of_other_processors_are_told_apart(no_folder, tmp_path, monkeypatch):
    folders = set()
    for name in ("flags: avx2", "flags: avx2 avx512f"):
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setattr(compilation_cache, "_processor", lambda name=name: name)
        compilation_cache.keep(tmp_path)
        folders.add(jax.config.jax_compilation_cache_dir)
    assert len(folders) == 2


def test_a_folder_that_the_user_names_stays(no_folder, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    compilation_cache.keep(tmp_path / "ours")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine")
