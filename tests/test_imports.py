"""Imports point down: who may import whom, and which library belongs where."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EVERYTHING = {"signal", "networks", "augment", "training", "data", "metrics"}
EVERYTHING |= {"analysis", "bench", "viz", "runs", "interop", "sources", "export"}
EVERYTHING |= {"edit", "errors", "explore", "model"}
EVERYTHING |= {
    "image_size",
    "ranges",
    "json_files",
    "jax_settings",
    "patience",
    "places",
}
PROCESS = {"jax_settings", "places"}
MAY_IMPORT = {
    "signal": {"errors", "jax_settings"},
    "data": {
        "errors",
        "image_size",
        "interop",
        "json_files",
        "locks",
        "patience",
        "places",
    },
    "interop": {"errors", "json_files"},
    "networks": {"errors", "image_size", "ranges", "signal"},
    "augment": {"errors", "ranges", "signal"},
    "viz": {"errors", "signal"},
    "explore": PROCESS | {"analysis", "edit", "errors", "model", "signal"},
    "edit": PROCESS | {"errors", "model", "signal", "viz"},
    "metrics": PROCESS | {"errors", "signal", "interop"},
    "analysis": PROCESS | {"errors", "signal", "networks", "metrics", "model", "viz"},
    "runs": PROCESS | {"errors", "json_files", "locks", "patience", "networks"},
    "training": PROCESS
    | {"errors", "ranges", "signal", "networks", "augment", "viz"}
    | {"runs", "sources"},
    "bench": PROCESS
    | {"errors", "image_size", "networks", "signal", "metrics", "viz", "interop"},
    "assembly": EVERYTHING,
    "cli": EVERYTHING | {"assembly"},
    "sources": PROCESS | {"errors", "interop", "networks", "runs"},
    "export": {"errors", "interop", "jax_settings", "model", "networks", "runs"}
    | {"places", "signal", "sources", "viz"},
    "model": PROCESS | {"errors", "networks", "signal", "sources"},
    "errors": set(),
    "ranges": {"errors"},
    "image_size": {"errors"},
    "locks": set(),
    "patience": set(),
    "streams": set(),
    "json_files": set(),
    "jax_settings": set(),
    "places": set(),
    "xla_flags": set(),
    "__main__": PROCESS | {"errors", "cli", "patience", "streams", "xla_flags"},
    "__init__": set(),
}
ONLY_IN = {
    "flax": ("networks", "analysis", "metrics", "training.state", "runs"),
    "orbax": ("runs.checkpoints", "runs.restoring", "runs.retention")
    + ("runs.step_folder",),
    "absl": (),
    "tyro": ("cli.command", "cli.flags"),
    "ml_collections": (),
    "matplotlib": ("viz.plot",),
    "etils": ("data", "runs.array_store", "runs.orbax_path"),
    "tensorstore": ("runs.array_store",),
    "tensorflow_datasets": ("data.tfds",),
    "pickle": ("interop.unpickle",),
    "safetensors": ("interop.model_file", "export.state_dict")
    + ("export.pytorch_reader",),
    "fcntl": ("locks",),
    "google": ("runs.bucket",),
    "gcsfs": ("runs.bucket",),
    "jax2onnx": ("export.onnx_writer",),
    "onnx": ("export.onnx_writer",),
    "onnxruntime": ("export.reader",),
    "torch": ("export.pytorch_reader",),
    "anywidget": ("explore.widget",),
    "traitlets": ("explore.widget",),
}


def imports(module: str, source: str, beside: bool = False) -> set[str]:
    """All modules that `source`, the text of afgan_jax.<module>, imports.

    But for those beside it, if it may say so.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or beside, f"{module}: write imports in full"
            if node.level == 0:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(module: str, source: str) -> list[str]:
    part = module.split(".")[0]
    wrong = []
    for name in sorted(imports(module, source)):
        top, *rest = name.split(".")
        if top == "afgan_jax" and rest and rest[0] not in MAY_IMPORT[part] | {part}:
            wrong.append(f"{module} imports {name}")
        homes = ONLY_IN.get(top, (part,))
        if not any(f"{module}.".startswith(f"{home}.") for home in homes):
            wrong.append(f"{module} imports {name}")
    return wrong


def test_imports_point_down():
    files = sorted((ROOT / "afgan_jax").rglob("*.py"))
    assert files
    wrong = []
    for file in files:
        parts = file.relative_to(ROOT / "afgan_jax").with_suffix("").parts
        wrong += violations(".".join(parts), file.read_text())
    assert not wrong


def test_config_files_import_ml_collections_and_each_other_only():
    for file in (ROOT / "configs").glob("*.py"):
        found = imports(file.stem, file.read_text(), beside=True)
        tops = {name.split(".")[0] for name in found}
        assert tops <= {"ml_collections"}, file


@pytest.mark.parametrize(
    "module, line",
    [
        ("signal.filters", "from afgan_jax.networks import plan"),
        ("training.loop", "from afgan_jax import cli"),
        ("networks.plan", "import absl.flags"),
        ("training.loop", "import flax.linen as nn"),
        ("augment.color", "from afgan_jax.networks import dense"),
        ("runs.run_directory", "import orbax.checkpoint as ocp"),
        ("data.archive", "import torch"),
    ],
)
def test_an_import_upwards_is_found(module, line):
    assert violations(module, f"def f():\n    {line}") != []


def test_no_file_hides_behind_a_folder_of_its_name():
    files = list((ROOT / "afgan_jax").rglob("*.py"))
    assert files and not [f for f in files if f.with_suffix("").is_dir()]


def test_every_source_file_reaches_a_clone():
    files = [
        p
        for part in ("afgan_jax", "configs", "tests")
        for p in (ROOT / part).rglob("*.py")
    ]
    names = "\n".join(str(file.relative_to(ROOT)) for file in files)
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    ignored = subprocess.run(
        command, cwd=ROOT, input=names, capture_output=True, text=True
    )
    # 0: some are ignored; 1: none; more: git failed
    assert ignored.returncode == 1, ignored.stdout + ignored.stderr


def test_lint_is_the_same_beside_a_users_own_folders(tmp_path):
    """The quickstart makes runs/, others data/: names of folders of tests too."""
    for name in ("pyproject.toml", "tests/test_model.py", "tests/launch/test_slurm.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    command = ["ruff", "check", "--no-cache", "."]
    for folder in (None, "runs", "data", "out", "viz"):
        if folder is not None:
            (tmp_path / folder).mkdir()
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
