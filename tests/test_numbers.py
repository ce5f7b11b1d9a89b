"""Numbers as people read them: no minus before a zero."""

import re
from pathlib import Path

from afgan_jax.analysis import tables

ROOT = Path(__file__).parents[1]
ROUNDED = re.compile(r":[<>^]?\d*\.(\d|\{\w+\})[fg]\}")
BAR = re.compile(r"bar_format=")  # of tqdm; what it shows is never negative


def test_a_negative_number_that_is_rounded_to_zero_has_no_sign():
    assert tables.aligned([["a", -0.001, -0.0, -0.5]]) == "a  0.00  0.00  -0.50"


def test_every_rounded_number_is_written_so():
    """The option z of Python's formats does it."""
    found = [
        f"{file.name}: {line.strip()}"
        for file in (ROOT / "afgan_jax").rglob("*.py")
        for line in file.read_text().splitlines()
        if ROUNDED.search(line) and not BAR.search(line)
    ]
    assert not found
