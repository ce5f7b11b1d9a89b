"""What README.md says about code is run."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def section(title: str) -> str:
    text = README.read_text()
    assert text.count(f"\n## {title}\n") == 1
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_network_of_the_readme_runs():
    (code,) = re.findall(
        r"```python\n(.*?)```", section("Use the filters in your own network"), re.S
    )
    assert code.count("assert") == 2
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})
