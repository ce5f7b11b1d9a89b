"""Compiled programs, kept in a folder so that a resumed run starts sooner."""

import platform
import zlib
from pathlib import Path

import jax


def keep(folder: Path) -> None:
    """Keeps what takes a second or more to compile in `folder`, from now on.

    Another folder is respected if the user has named one in JAX_COMPILATION_CACHE_DIR;
    JAX_ENABLE_COMPILATION_CACHE=false turns it off.
    """
    if jax.config.jax_compilation_cache_dir is None:
        # JAX tells platforms and versions apart, but no CPUs: a run directory may move
        # to one that lacks instructions of the other.
        place = folder / f"{zlib.crc32(_processor().encode()):08x}"
        jax.config.update("jax_compilation_cache_dir", str(place))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    features = {line for line in lines if line.startswith(("flags", "Features"))}
    return " ".join([platform.machine(), platform.processor(), *sorted(features)])
