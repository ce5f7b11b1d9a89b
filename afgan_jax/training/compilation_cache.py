"""A cache of compiled programs on disk, with which a resumed run starts sooner."""

import platform
import zlib
from pathlib import Path

import jax

from afgan_jax import places


def keep(folder: Path) -> None:
    """Caches in `folder`, from now on, what takes a second or more to compile.

    JAX_COMPILATION_CACHE_DIR names another folder; JAX_ENABLE_COMPILATION_CACHE=false
    turns the cache off.
    """
    given = jax.config.jax_compilation_cache_dir
    if given is not None:
        if not places.is_url(given) and not places.is_open(Path(given)):
            jax.config.update("jax_enable_compilation_cache", False)
        return
    # JAX's keys tell platforms and versions apart but not CPUs, and a run directory may
    # move to a CPU that lacks instructions.
    place = folder / f"{zlib.crc32(_processor().encode()):08x}"
    jax.config.update("jax_compilation_cache_dir", str(place))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    features = {line for line in lines if line.startswith(("flags", "Features"))}
    return " ".join([platform.machine(), platform.processor(), *sorted(features)])
