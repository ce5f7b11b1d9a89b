"""The text of a compiled module (HLO), read as instructions."""

import math
import re
from typing import NamedTuple

_BYTES = {"pred": 1, "s4": 1, "u4": 1, "s8": 1, "u8": 1, "f8e4m3fn": 1, "f8e5m2": 1}
_BYTES |= {"s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}
_BYTES |= {"s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16}
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_CALLED = {
    "body": re.compile(r"\bbody=%?([\w.\-]+)"),
    "calls": re.compile(r"\b(?:to_apply|calls)=%?([\w.\-]+)"),
    "branches": re.compile(r"\b(?:true|false)_computation=%?([\w.\-]+)"),
}
_BRANCHES = re.compile(r"\bbranch_computations=\{(.*?)\}")


class Instruction(NamedTuple):
    """NAME = TYPE OP(ARGUMENTS), ATTRIBUTES; operands: names among the arguments."""

    name: str
    type: str
    op: str
    arguments: str
    attributes: str
    operands: tuple[str, ...]
    is_root: bool


def parse(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """({computation: its instructions}, the name of the entry)."""
    found, entry, current = {}, "", None
    for line in text.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            current = found.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None:
            instruction = _instruction(line)
            if instruction:
                current.append(instruction)
    return found, entry


def _instruction(line: str) -> Instruction | None:
    matched = _INSTRUCTION.match(line)
    if not matched:
        return None
    root, name, rest = matched.groups()
    length = _closing(rest) if rest.startswith("(") else rest.index(" ")
    kind, rest = rest[:length], rest[length:].lstrip()
    op = re.match(r"[\w\-]+(?=\()", rest)
    if not op:
        return None
    end = _closing(rest, op.end())
    arguments = rest[op.end() + 1 : end - 1]
    operands = tuple(re.findall(r"%([\w.\-]+)", arguments))
    return Instruction(name, kind, op[0], arguments, rest[end:], operands, bool(root))


def _closing(text: str, start: int = 0) -> int:
    """The end of the parenthesis that opens at `start`."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at + 1
    raise ValueError(f"no end of {text[start : start + 50]!r}")


def sizes(kind: str) -> list[int]:
    """Bytes of the arrays of a type."""
    return [
        _BYTES[name] * math.prod(map(int, filter(None, shape.split(","))))
        for name, shape in _SHAPE.findall(kind)
        if name in _BYTES
    ]


def size(kind: str) -> int:
    """Bytes of a type, of a tuple those of all its arrays."""
    return sum(sizes(kind))


def called(i: Instruction) -> dict[str, list[str]]:
    """{how: names of the computations that it calls}."""
    names = {how: each.findall(i.attributes) for how, each in _CALLED.items()}
    for listed in _BRANCHES.findall(i.attributes):
        names["branches"] += re.findall(r"[\w.\-]+", listed)
    return names


def trips(i: Instruction) -> int:
    """How often a loop runs, 1 if that is not known."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', i.attributes)
    return int(known[1]) if known else 1


def fusion_kind(i: Instruction) -> str:
    library = re.search(r'"kind":"(__\w+)"', i.attributes)
    kind = re.search(r"\bkind=k(\w+)", i.attributes)
    return library[1] if library else f"fusion {kind[1]}"


def target(i: Instruction) -> str:
    """The function of a library that a custom call runs."""
    return re.search(r'custom_call_target="([^"]+)"', i.attributes)[1]


def workspace(i: Instruction) -> int:
    """Bytes among a custom call's results that are the library's own."""
    return sum(map(size, re.findall(r"[su]8\[\d+\]", i.type)))
