"""Test session: shapes checked at run time, compiled programs kept between runs."""

import gc
import os
import re
import zlib

from afgan_jax import xla_flags

os.environ["JAX_PLATFORMS"] = "cpu"
# Most of the session is spent compiling programs that run once: less optimisation makes
# it twice as fast. Results change by rounding only. Several sessions share the cores.
FLAGS = xla_flags.known(
    [
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=0",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_cpu_multi_thread_eigen=false",
        "--xla_force_host_platform_device_count=8",  # for tests of sharding
    ]
)
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

jaxtyping.install_import_hook("afgan_jax", "typecheck.check")

pytest_plugins = ["reference.summary"]  # here: workers collect, not who sums up


def pytest_configure(config):
    # A folder for each worker: files of programs are not written at one stroke.
    cache = config.cache.mkdir("xla-" + os.environ.get("PYTEST_XDIST_WORKER", "alone"))
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    gc.set_threshold(100_000, 50, 100)  # tracing makes many objects that stay


@pytest.hookimpl(tryfirst=True)  # before those that -m leaves out are
def pytest_collection_modifyitems(config, items):
    stages = set(re.findall(r"not (\w+)", " ".join(config.getini("addopts"))))
    for item in items:
        of = stages.intersection(mark.name for mark in item.iter_markers())
        if len(of) > 1:  # -m slow would start it where its compiler is not
            raise pytest.UsageError(f"{item.nodeid} is in {sorted(of)}: keep one")


@pytest.fixture
def float64():
    """jnp computes in float64 during the test: for oracles that leave no rounding."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="session")
def gcs():
    """A real server of buckets, which this process uses from now on; see buckets.py."""
    import buckets

    with buckets.served() as server:
        yield server


@pytest.fixture
def folder_url(gcs, request, tmp_path, monkeypatch):
    """A new folder in a bucket, as gs://..., and an empty cache of this machine."""
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path / "cache"))
    yield f"gs://bkt/{zlib.crc32(request.node.nodeid.encode()):08x}/run"
    gcs.fail()
    gc.collect()  # the libraries leave sockets open, of which warnings would tell
