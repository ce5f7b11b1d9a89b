"""READMEs are short, and what they say about code, commands and files is true."""

import ast
import functools
import importlib
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib

import pytest
import test_imports
import tiny

from afgan_jax import __main__ as program
from afgan_jax.assembly import settings as assembled
from afgan_jax.cli import command
from afgan_jax.runs import config

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("configs", "launch", "notebooks", "afgan_jax", "tests")
READMES = [ROOT / "README.md"]
READMES += sorted(p for f in FOLDERS for p in (ROOT / f).rglob("README.md"))
each_readme = pytest.mark.parametrize(
    "readme", READMES, ids=lambda path: str(path.relative_to(ROOT))
)
CALL = "python -m afgan_jax"
LAUNCHERS = {f"launch/{name}.py" for name in ("gke", "local", "supervise", "tpu")}
FILE = r"\w+/|[.\w/]+/\w+\.\w+|\w+\.(py|sh)"
# Folders that runs and scripts write, and names within recorded data.
WRITTEN = {"runs", "out", "checkpoints", "events", "profile", "in", "state"}


def section(readme: pathlib.Path, title: str) -> str:
    text = readme.read_text()
    assert text.count(f"\n## {title}\n") == 1
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def prose(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.S)


def paragraphs(text: str) -> list[list[str]]:
    """Lines of each paragraph, list item or heading; no code, no tables."""
    found = [[]]
    for line in prose(text).splitlines():
        if not line.strip() or line.startswith(("|", "#", "    ")):
            found.append([])
            continue
        if line.startswith("- "):
            found.append([])
        found[-1].append(line)
    return [lines for lines in found if lines]


def rows(text: str) -> list[list[str]]:
    """Cells of the tables' rows, without the headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    ruled = [i for i, row in enumerate(cells) if set(row[0]) == {"-"}]
    return [r for i, r in enumerate(cells) if i not in ruled and i + 1 not in ruled]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def shell_commands(text: str) -> list[list[str]]:
    """The words of every command: lines of bash blocks, and calls within sentences."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines += [span for span in code(prose(text)) if span.startswith(CALL)]
    words = [shlex.split(line, comments=True) for line in lines]
    return [part for line in words for part in split_at("&&", line) if part]


def split_at(mark: str, words: list[str]) -> list[list[str]]:
    parts = [[]]
    for word in words:
        if word == mark:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@functools.cache
def defined(file: pathlib.Path) -> set[str]:
    """Functions, classes and Class.method of a module."""
    kinds = ast.FunctionDef | ast.ClassDef
    tops = [n for n in ast.parse(file.read_text()).body if isinstance(n, kinds)]
    inner = [
        f"{top.name}.{node.name}"
        for top in tops
        for node in top.body
        if isinstance(node, kinds)
    ]
    return {top.name for top in tops} | set(inner)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110


@each_readme
def test_paragraphs_are_short(readme):
    for lines in paragraphs(readme.read_text()):
        assert len(lines) <= 5, lines
        assert max(map(len, lines)) <= 110, lines


@each_readme
def test_links_lead_somewhere(readme):
    for target in re.findall(r"\]\(([^)]+)\)", prose(readme.read_text())):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = readme.parent / path if path else readme
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


@each_readme
def test_files_that_are_named_are_there(readme):
    homes = (ROOT, ROOT / "afgan_jax", readme.parent, readme.parents[1])
    for span in code(prose(readme.read_text())):
        if re.fullmatch(FILE, span) and span.split("/")[0] not in WRITTEN:
            assert any((home / span).exists() for home in homes), span


@each_readme
def test_settings_that_are_named_exist(readme):
    settings = config.load(f"{ROOT}/configs/smoke.py", {}, assembled.SCHEMA)
    for span in code(prose(readme.read_text())):
        name = span.removeprefix("--config.").partition("=")[0]
        first, *keys = name.split(".")
        if not re.fullmatch(r"\w+(\.\w+)+", name) or first not in settings:
            continue
        if keys[-1] in ("json", "jsonl", "png", "py"):
            continue
        holder = functools.reduce(dict.__getitem__, keys[:-1], settings[first])
        assert keys[-1] in holder, span


@each_readme
def test_commands_can_be_given(readme, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # flags check that their folders can be written
    for words in shell_commands(readme.read_text()):
        while "=" in words[0]:
            words = words[1:]
        if words[:3] == CALL.split():
            check_call(words[3:])
        else:
            check_other(*words)
    capsys.readouterr()


def test_commands_in_scripts_and_docstrings_can_be_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    homes = ("launch/*.sh", "configs/*.py", "afgan_jax/cli/**/*.py")
    files = [file for home in homes for file in sorted(ROOT.glob(home))]
    calls = []
    for file in files:
        text = re.sub(r"\\+\n", " ", file.read_text()).replace("$run", "runs/earth")
        calls += re.findall(rf"^\s*{CALL} (.*)$", text, re.M)
    assert len(calls) > 20
    for call in calls:
        check_call(shlex.split(call))


def check_call(argv: list[str]) -> None:
    """Reads a call of this program without making it, and its config."""
    if argv == ["--help"]:
        return
    verb, *rest = argv
    module = importlib.import_module(program.VERBS[verb][0])
    call = command.read(module, verb, rest)
    given = None if call is None else call.keywords.get("config")
    if given is not None:
        config.load(given.spec, given.changes, assembled.SCHEMA)


def check_launcher(script: str, *arguments: str) -> None:
    """A dry run of a script in launch/, and the call that it is to make."""
    own, *calls = split_at("--", list(arguments))
    for call in calls:
        assert call[:3] == CALL.split()
        check_call(call[3:])
    if script == "launch/supervise.py":  # does nothing by itself
        assert calls and not own
        return
    given = [*own, "--dry-run", *(["--", *call] if calls else [])]
    done = subprocess.run(
        [sys.executable, script, *given], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def check_other(name: str, *arguments: str) -> None:
    if name == "nohup":
        assert arguments[-1] == "&"
        check_other(*arguments[:-1])
    elif name == "sbatch":
        script = arguments.index("launch/slurm.sbatch")
        check_call(["train", *arguments[script + 1 :]])
    elif name in ("docker", "gcloud", "sky"):
        files = [word.split("=")[-1] for word in arguments if "launch/" in word]
        assert all((ROOT / file).is_file() for file in files)
    elif name == "python" and arguments[0] in LAUNCHERS:
        check_launcher(*arguments)
    elif name == "bash" and arguments[0] == "launch/slurm.sbatch":
        check_call(["train", *arguments[1:]])
    elif name == "bash" or (name == "python" and not arguments[0].startswith("-")):
        program = ROOT / arguments[0]
        assert program.is_file() or (program / "__main__.py").is_file()
        for argument in arguments[1:]:
            assert not argument.startswith("tests/") or (ROOT / argument).exists()
    elif name.split("/")[-1] == "pip":
        for extras in re.findall(r"\.\[([\w,]+)\]", " ".join(arguments)):
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            assert set(extras.split(",")) <= set(project["optional-dependencies"])
    else:
        assert [name, *arguments[:2]] == ["python", "-m", "venv"], name


def test_messages_that_are_explained_are_said_somewhere():
    files = [*ROOT.glob("launch/*.py"), *(ROOT / "afgan_jax").rglob("*.py")]
    source = "\n".join(file.read_text() for file in files)
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # of strings on several lines
    spans = {
        span
        for message, _ in rows(
            section(ROOT / "launch" / "README.md", "What went wrong")
        )
        for span in code(message)
        if " " in span and not span.startswith("Kubernetes")  # JAX says that
    }
    assert len(spans) > 5
    for span in spans:
        for part in re.split(r"\d+|==|\.\.\.", span):
            assert part.strip() in source, span


def test_arrows_are_those_of_the_imports():
    everything = test_imports.EVERYTHING
    names = {"nothing": set(), "all of these": everything}
    names["all of these, assembly"] = everything | {"assembly"}
    text = section(ROOT / "afgan_jax" / "README.md", "Who may import whom")
    arrows = {
        code(part)[0]: names.get(others, set(code(others)))
        for part, others in rows(text)
    }
    exempt = {"errors"}
    allowed = test_imports.MAY_IMPORT.items()
    wanted = {part: set(others) - exempt for part, others in allowed}
    assert {p: o - exempt for p, o in arrows.items()} == {
        part: others for part, others in wanted.items() if part not in exempt
    }


@pytest.mark.parametrize(
    "walk", ["From z to pixels", "A batch through a step", "A path from flag to file"]
)
def test_walks_pass_through_functions_that_exist(walk):
    steps = rows(section(ROOT / "afgan_jax" / "README.md", walk))
    assert len(steps) > 5
    for file, functions, _ in steps:
        (path,) = code(file)
        missing = set(code(functions)) - defined(ROOT / "afgan_jax" / path)
        assert not missing, path


def snippet(readme: pathlib.Path) -> str:
    (lines,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.S)
    return lines


def run_snippet(readme: pathlib.Path) -> dict:
    names = {"__name__": "readme"}
    exec(compile(snippet(readme), str(readme), "exec"), names)
    return names


@pytest.fixture
def earth_run(tmp_path, monkeypatch):
    """A run of the name that READMEs use, below the current folder."""
    sizes = {"resolution": 32, "num_layers": 6, "c_dim": 0}
    tiny.save_run(tmp_path / "runs" / "earth", "earth", **sizes)
    monkeypatch.chdir(tmp_path)


def test_network_of_the_signal_readme_runs():
    readme = ROOT / "afgan_jax" / "signal" / "README.md"
    assert snippet(readme).count("assert") == 2
    run_snippet(readme)


def test_python_of_the_readme_runs(earth_run):
    names = run_snippet(ROOT / "README.md")
    assert names["images"].shape == (4, 32, 32, 3) and names["images"].dtype == "uint8"
    still = names["model"].images(seeds=[3])
    assert (names["moved"] != still).any() and (names["ordinary"] != still).any()


@pytest.mark.slow
def test_python_of_the_analysis_readme_runs(earth_run):
    run_snippet(ROOT / "afgan_jax" / "analysis" / "README.md")
