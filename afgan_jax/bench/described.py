"""Devices that are not there, as a compiler is told of them."""

import importlib.util
from collections.abc import Sequence

from jax.experimental import topologies

from afgan_jax import errors


def devices(
    platform: str,
    setting: tuple[str, str],
    compilers: Sequence[str],
    missing: str,
    **description,
) -> list:
    """Those of a description that a compiler of the platform understands.

    setting: (name, value) that an error names. compilers: modules, one of which there
    must be; `missing` says how to get one. Raises SettingError if it fails.
    """
    try:
        found = topologies.get_topology_desc(platform=platform, **description)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        if not any(importlib.util.find_spec(name) for name in compilers):
            reason = missing
        raise errors.SettingError(*setting, f"fails: {reason}") from error
    return list(found.devices)
