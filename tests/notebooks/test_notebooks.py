"""Notebooks: what each of them has, and that it runs and finds what it promises."""

import ast
import os
import re
import sys

import nbformat
import pytest
from nbformat import v4
from notebooks import execution, promises

import afgan_jax
from afgan_jax.sources import boxed

README = execution.FOLDER / "README.md"


@pytest.fixture(scope="module", params=execution.NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def notebook(name):
    return execution.read(name)


def test_each_has_promises():
    assert set(promises.PROMISES) == set(execution.NAMES)


def test_it_is_committed_without_outputs(name, notebook):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags"}


def test_it_begins_with_what_it_is_and_takes(name, notebook):
    top = notebook.cells[0].source
    assert top.startswith("# ") and re.search(r"^Takes: \d+ minutes", top, re.M)
    assert "GPU" in top and "TPU" in top


def test_it_installs_alike_and_upgrades_nothing(name, notebook):
    install = notebook.cells[1].source
    assert install == execution.read("start").cells[1].source
    assert "--upgrade" not in install and "-U" not in install
    assert sum(map(execution.is_of_parameters, notebook.cells)) == 1


def test_what_it_imports_of_the_package_is_there(name, notebook):
    """Also in cells that small numbers leave out."""
    source = "\n".join(
        "\n".join(line for line in cell.source.splitlines() if "%" not in line[:9])
        for cell in notebook.cells[2:]
        if cell.cell_type == "code"
    )
    for node in ast.walk(ast.parse(source.replace("    !", "    pass  # "))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("afgan_jax"):
            module = __import__(node.module, fromlist=["*"])
            for alias in node.names:
                found = getattr(module, alias.name, None)
                assert found or __import__(f"{node.module}.{alias.name}")


def test_the_readme_has_it(name):
    text = README.read_text()
    assert f"]({name}.ipynb)" in text
    assert f"OWNER/afgan_jax/blob/main/notebooks/{name}.ipynb" in text


def test_links_lead_somewhere(name, notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for link in re.findall(r"\]\(([^)#:]+)\)", cell.source):
                assert (execution.FOLDER / link).exists(), link


@pytest.mark.notebooks
def test_it_runs_and_finds_what_it_promises(name, notebook, tmp_path):
    numbers, claims, pictures = promises.PROMISES[name]
    told = execution.with_numbers(notebook, numbers | promises.given(name, tmp_path))
    done = execution.run(told, tmp_path, claims)
    assert len(execution.outputs(done, "image/png")) == pictures
    kept = os.environ.get("AFGAN_NOTEBOOKS")
    if kept:
        nbformat.write(done, os.path.join(kept, f"{name}.ipynb"))


def test_a_promise_that_is_broken_is_an_error(tmp_path):
    cell = v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]})
    one = v4.new_notebook(cells=[cell])
    done = execution.run(execution.with_numbers(one, {"x": 2}), tmp_path, ("x == 2",))
    assert len(done.cells) == 3
    with pytest.raises(execution.nbclient.exceptions.CellExecutionError, match="x > 5"):
        execution.run(one, tmp_path, ("x > 5",))


def test_the_environment_of_a_kernel_has_this_package(tmp_path):
    code = f"import afgan_jax, sys; assert afgan_jax.__file__ == {afgan_jax.__file__!r}"
    code += f"; assert sys.executable == {sys.executable!r}"
    execution.run(v4.new_notebook(cells=[v4.new_code_cell(code)]), tmp_path)


def test_models_that_notebooks_name_come_with_the_package():
    for name in execution.NAMES:
        parameters = next(
            filter(execution.is_of_parameters, execution.read(name).cells)
        )
        for model in re.findall(r'^MODEL = "(\w+)"', parameters.source, re.M):
            assert model in boxed.names()
