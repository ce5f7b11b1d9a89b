"""What a module compiled for CUDA runs: its kernels, and the bytes that they move.

Every kernel reads its operands and writes its results once, of an operand that it only
slices or gathers from what it takes. Those bytes over the bandwidth of a card are a
floor of the time of this program, unless a kernel finds its operands in the cache.
Another program, such as one tuned on a card, may move less.
"""

import collections
import dataclasses
import re
from collections.abc import Iterator, Mapping

from afgan_jax.bench import hlo

# Instructions that run nothing on the card.
_FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant"}
_FREE |= {"after-all", "partition-id", "replica-id", "optimization-barrier"}
_SLICES = {"slice", "dynamic-slice", "gather"}
_WINDOW = re.compile(r"\bwindow=\{size=(\d+)x(\d+)")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel that is run `times` times; bytes: of each run.

    window: of a convolution, (height, width), else None.
    """

    kind: str
    times: int
    bytes: int
    window: tuple[int, int] | None = None


def of_module(text: str) -> list[Kernel]:
    """The kernels of a compiled module's text, those of loops as often as they run.

    Of branches, those of the one that moves most.
    """
    computations, entry = hlo.parse(text)
    return list(_run(computations, entry, 1))


def _run(computations: Mapping, name: str, times: int) -> Iterator[Kernel]:
    instructions = computations[name]
    types = {i.name: i.type for i in instructions}
    for i in instructions:
        if i.op in _FREE or i.op.endswith("-done"):
            continue
        called = hlo.called(i)
        if i.op == "while":
            yield from _run(computations, called["body"][0], times * hlo.trips(i))
        elif i.op == "conditional":
            branches = [list(_run(computations, b, times)) for b in called["branches"]]
            yield from max(branches, key=total_bytes)
        elif i.op in ("call", "async-start"):
            for inner in called["calls"]:
                yield from _run(computations, inner, times)
        else:
            yield _kernel(computations, i, types, times)


def _kernel(computations, i, types: Mapping[str, str], times: int) -> Kernel:
    window = _window(computations, i)
    if i.op == "fusion":
        moved = _fusion_bytes(i, computations, types)
        return Kernel(hlo.fusion_kind(i), times, moved, window)
    moved = hlo.size(i.type) + sum(hlo.size(types.get(o, "")) for o in i.operands)
    if i.op != "custom-call":
        return Kernel(i.op, times, moved, window)
    return Kernel(hlo.target(i), times, moved - hlo.workspace(i), window)


def _window(computations, i) -> tuple[int, int] | None:
    """Of a convolution, also of one inside a fusion."""
    inner = (b for name in hlo.called(i)["calls"] for b in computations.get(name, ()))
    for each in (i, *inner):
        found = _WINDOW.search(each.attributes)
        if found and each.op in ("custom-call", "convolution"):
            return tuple(map(int, found.groups()))
    return None


def _fusion_bytes(i, computations, types: Mapping[str, str]) -> int:
    body = [b for name in hlo.called(i)["calls"] for b in computations[name]]
    names = {int(b.arguments): b.name for b in body if b.op == "parameter"}
    users = collections.defaultdict(list)
    for b in body:
        for operand in b.operands:
            users[operand].append(b)
    root = next(b for b in body if b.is_root)
    total = hlo.size(i.type)
    if root.op == "dynamic-update-slice":  # in place
        updates = [b for b in body if b.name == root.operands[1]]
        total = 2 * sum(hlo.size(b.type) for b in updates)
    for number, operand in enumerate(i.operands):
        whole, name = hlo.size(types.get(operand, "")), names.get(number)
        used = users.get(name, [])
        if used and all(b.op in _SLICES for b in used):
            whole = min(whole, sum(hlo.size(b.type) for b in used))
        elif used and all(
            b.op == "dynamic-update-slice" and b.operands[0] == name for b in used
        ):
            whole = 0
        total += whole
    return total


def total_bytes(kernels: list[Kernel]) -> int:
    return sum(k.times * k.bytes for k in kernels)


def largest_window(kernels: list[Kernel]) -> int:
    """The longest side of a convolution's window, 0 if there is none."""
    return max((max(k.window) for k in kernels if k.window), default=0)
