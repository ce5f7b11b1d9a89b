"""What README.md says about code is run."""

import pathlib
import re

import tiny

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


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    sizes = {"resolution": 32, "num_layers": 6, "c_dim": 0}
    tiny.save_run(tmp_path / "runs" / "earth", "earth", **sizes)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", section("From Python"), re.S)
    names = {}
    exec(compile(code, str(README), "exec"), names)
    assert names["images"].shape == (4, 32, 32, 3) and names["images"].dtype == "uint8"
    assert (names["moved"] != names["model"].images(seeds=[3])).any()
