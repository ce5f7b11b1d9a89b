"""Node pools of GKE: which sizes there are of TPUs and GPUs, and their names."""

from __future__ import annotations  # Python 3.9

import dataclasses
import math
import re

# Topologies of TPU slices: planes of chips, or blocks, of these or of multiples of 4.
PLANES = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
BLOCKS = ("2x2x1", "2x2x2", "2x2x4", "2x4x4")
CHIPS = 4  # of each host of a slice, unless the slice is a single chip
TPUS = {  # node label, xpk's word, topologies by name, the most chips of larger ones
    "v4": ("tpu-v4-podslice", "v4", BLOCKS, 4096),
    "v5e": ("tpu-v5-lite-podslice", "v5litepod", PLANES, 0),
    "v5p": ("tpu-v5p-slice", "v5p", BLOCKS, 6144),
    "v6e": ("tpu-v6e-slice", "v6e", PLANES, 0),
    "tpu7x": ("tpu7x", "tpu7x", ("1x1x1", *BLOCKS), 9216),
}
GPUS = {  # node label, xpk's word or None, GPUs of a node
    "l4": ("nvidia-l4", "l4", (1, 2, 4, 8)),
    "t4": ("nvidia-tesla-t4", None, (1, 2, 4)),
    "a100": ("nvidia-tesla-a100", "a100-40gb", (1, 2, 4, 8, 16)),
    "a100-80gb": ("nvidia-a100-80gb", None, (1, 2, 4, 8)),
    "h100": ("nvidia-h100-80gb", "h100-80gb", (1, 2, 4, 8)),
    "h100-mega": ("nvidia-h100-mega-80gb", "h100-mega-80gb", (8,)),
    "h200": ("nvidia-h200-141gb", "h200-141gb", (8,)),
    "b200": ("nvidia-b200", "b200", (8,)),
}
PREFIX = "cloud.google.com/gke-"


@dataclasses.dataclass(frozen=True)
class Pool:
    """What one pod takes of a node, and how many pods a slice has; None: any number."""

    labels: dict  # of the nodes
    resource: str
    per_pod: int
    pods: int | None
    xpk: str | None

    @property
    def is_tpu(self) -> bool:
        return self.pods is not None


def pool(text: str) -> Pool:
    """The pool that KIND:SIZE names: v6e:4x4, h100:8. Raises ValueError."""
    kind, _, size = text.partition(":")
    if kind in TPUS:
        return _tpu(kind, size)
    if kind in GPUS:
        return _gpu(kind, size)
    raise ValueError(f"{kind} must be one of {', '.join([*TPUS, *GPUS])}")


def _tpu(kind: str, size: str) -> Pool:
    label, xpk, named, most = TPUS[kind]
    if size not in named and not _is_large_block(size, most):
        larger = f", AxBxC of multiples of 4 with A <= B <= C, up to {most} chips"
        raise ValueError(
            f"{kind}:{size} must have a topology of {', '.join(named)}"
            + (larger if most else "")
        )
    chips = math.prod(map(int, size.split("x")))
    return Pool(
        labels={f"{PREFIX}tpu-accelerator": label, f"{PREFIX}tpu-topology": size},
        resource="google.com/tpu",
        per_pod=min(chips, CHIPS),
        pods=max(1, chips // CHIPS),
        xpk=f"{xpk}-{size}",
    )


def _is_large_block(size: str, most: int) -> bool:
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){2}", size):
        return False
    sides = [int(side) for side in size.split("x")]
    fits = math.prod(sides) <= most
    return fits and sides == sorted(sides) and not any(side % 4 for side in sides)


def _gpu(kind: str, size: str) -> Pool:
    label, xpk, counts = GPUS[kind]
    if size not in map(str, counts):
        raise ValueError(
            f"{kind}:{size} must have GPUs of a node, one of"
            f" {', '.join(map(str, counts))}"
        )
    return Pool(
        labels={f"{PREFIX}accelerator": label},
        resource="nvidia.com/gpu",
        per_pod=int(size),
        pods=None,
        xpk=f"{xpk}-{size}" if xpk else None,
    )
