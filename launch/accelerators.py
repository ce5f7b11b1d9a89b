"""TPU slices that queued resources serve: their hosts and runtime versions.

The number in a type counts cores for v4 and v5p, two a chip, and chips for v5e and v6e.
"""

import re

RUNTIMES = {
    "v4": "tpu-ubuntu2204-base",
    "v5litepod": "v2-alpha-tpuv5-lite",
    "v5p": "v2-alpha-tpuv5",
    "v6e": "v2-alpha-tpuv6e",
}
SMALL, LARGE = (
    (1, 4, 8),
    (16, 32, 64, 128, 256),
)  # chips of v5e and v6e; LARGE: 4 a host


def checked(kind: str) -> str:
    """The type as Google names it: v5e-16 is v5litepod-16. Raises ValueError."""
    match = re.fullmatch(r"(\w+)-(\d+)", kind)
    family, size = match.groups() if match else (kind, "0")
    if family.startswith(("tpu7", "v7", "ironwood")):
        raise ValueError(
            f"--type={kind}: queued resources have no TPU7x, only GKE has: use"
            " python launch/gke.py"
        )
    family, size = {"v5e": "v5litepod"}.get(family, family), int(size)
    if family not in RUNTIMES:
        raise ValueError(
            f"--type={kind}: must be v4-N, v5e-N, v5p-N or v6e-N, as in v5e-16"
        )
    if family in ("v4", "v5p") and (size < 8 or size % 8):
        raise ValueError(
            f"--type={kind}: N counts cores, 8 a host: 8, 16, 32, 64, ..., not {size}"
        )
    if family in ("v5litepod", "v6e") and size not in SMALL + LARGE:
        sizes = ", ".join(map(str, SMALL + LARGE))
        raise ValueError(f"--type={kind}: N counts chips: one of {sizes}, not {size}")
    return f"{family}-{size}"


def runtime(kind: str) -> str:
    """The runtime version of a checked type."""
    return RUNTIMES[kind.partition("-")[0]]


def hosts(kind: str) -> int:
    """How many workers a checked type has."""
    family, _, size = kind.partition("-")
    if family in ("v4", "v5p"):
        return int(size) // 8
    return 1 if int(size) in SMALL else int(size) // 4
