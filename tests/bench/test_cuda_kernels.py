"""What the CUDA compiler makes of the Pallas kernel, for cards that are not here."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from bench import kernel_compilation

HERE = pathlib.Path(__file__).parent
# card: {case: of both passes, the one with fewer registers first}. Registers of a
# thread, bytes that it spills, and KiB of fast memory of a program, at most.
BUDGETS = json.loads((HERE / "kernel_budgets.json").read_text())


@pytest.mark.cuda
@pytest.mark.parametrize("card", BUDGETS)
def test_kernels_are_within_their_budgets(card):
    """And little below, so that the budgets stay true."""
    command = [sys.executable, HERE / "kernel_compilation.py", card, *BUDGETS[card]]
    environment = os.environ | {"XLA_FLAGS": "", "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    registers = list(map(int, re.findall(r"Used (\d+) registers", done.stdout)))
    spilled = list(
        map(
            int, re.findall(r"bytes stack frame, (\d+) bytes spill stores", done.stdout)
        )
    )
    found = {}
    for k, name in enumerate(BUDGETS[card]):
        kernels = sorted(zip(registers[2 * k : 2 * k + 2], spilled[2 * k : 2 * k + 2]))
        both = dict(zip(("registers", "spilled"), map(list, zip(*kernels))))
        found[name] = both | {"KiB": [kernel_compilation.shared_bytes(name) // 1024]}
    print(json.dumps(found))  # for new budgets
    assert len(registers) == len(spilled) == 2 * len(found)
    for name, budget in BUDGETS[card].items():
        for kind, most in budget.items():
            for a, b in zip(found[name][kind], most, strict=True):
                assert 0.8 * b <= a <= b, (name, kind)
