"""The slow ones of the fast tests, which CI runs on one Python only, are tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_what_is_left_out_of_a_second_python_is_there():
    names = (ROOT / ".ci" / "long.txt").read_text().splitlines()
    assert names == sorted(set(names))
    for name in names:
        file, function = name.split("::")
        assert re.search(rf"^def {function}\(", (ROOT / file).read_text(), re.M), name
