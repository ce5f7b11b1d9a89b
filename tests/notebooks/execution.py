"""Runs a notebook in a kernel of its own, as a person would, with other numbers."""

import copy
import os
from pathlib import Path

import nbclient
import nbformat
from nbformat import v4

from afgan_jax import xla_flags

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def with_numbers(notebook, numbers: dict) -> nbformat.NotebookNode:
    """The notebook, in which these hold after its cell of parameters."""
    changed = copy.deepcopy(notebook)
    lines = [f"{name} = {value!r}" for name, value in numbers.items()]
    at = 1 + next(i for i, cell in enumerate(changed.cells) if is_of_parameters(cell))
    changed.cells.insert(at, v4.new_code_cell("\n".join(lines)))
    return changed


def is_of_parameters(cell) -> bool:
    return "parameters" in cell.metadata.get("tags", ())


def run(notebook, folder: Path, claims: tuple[str, ...] = ()) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in `folder`; then `claims` must be true there.

    Raises CellExecutionError for the first cell that fails, a claim included.
    """
    told = copy.deepcopy(notebook)
    told.cells += [v4.new_code_cell(f"assert {claim}, {claim!r}") for claim in claims]
    client = nbclient.NotebookClient(
        told,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    # Most of the time goes into compiling programs that run once; one device.
    flags = xla_flags.known(["--xla_backend_optimization_level=0"])
    return client.execute(
        env=os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": " ".join(flags)}
    )


def outputs(notebook, kind: str) -> list:
    """The outputs of a MIME type or, for "stderr", what was written there."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    if kind == "stderr":
        return [x.text for x in found if x.output_type == "stream" and x.name == kind]
    return [x.data[kind] for x in found if kind in x.get("data", ())]
