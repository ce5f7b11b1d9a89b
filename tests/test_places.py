"""Paths as people write them mean one thing everywhere; caches are optional."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data import images

from afgan_jax import __main__, model, places
from afgan_jax.cli import flags
from afgan_jax.data import archive, earth, sets
from afgan_jax.data import paths as data_paths
from afgan_jax.metrics import cache, weights
from afgan_jax.runs import config_files, run_directory
from afgan_jax.sources import run
from afgan_jax.training import abort, compilation_cache, init_from

ROOT = Path(__file__).parents[1]
EMPTY = "is empty: name one, or leave it out"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.delenv(places.CACHE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize("written", ["~/x", "$HOME/x", "${PLACE}/x", "file://~/x"])
def test_a_path_is_expanded(home, written):
    assert places.expanded(written) == f"{home}/x"
    assert places.expanded(f"file://{home}/x") == f"{home}/x"
    assert places.expanded("~root") == os.path.expanduser("~root") != "~root"
    for plain in ("a~b", "./~", "gs://bucket/x", "$unknown/x"):
        assert places.expanded(plain) == plain


def missing(function):
    """The path that a function says is missing, or that it found."""
    try:
        return str(function())
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    "read",
    [
        flags.expanded,
        flags.writable,
        lambda path: archive.Archive.open(path),
        data_paths.resolve,
        model.load,
        init_from.find,
        run_directory.Run.open,
        lambda path: config_files.find(path + ".py"),
        lambda path: weights.locate("vgg16", path),
    ],
)
def test_every_reader_of_a_path_expands_it(home, monkeypatch, read):
    told = missing(lambda: read("~/absent"))
    assert f"{home}/absent" in told or "AFGAN_VGG16" in told or "vgg16=~" in told
    assert "~nobody-here" in missing(lambda: read("~nobody-here/x"))


def test_a_run_may_be_named_by_its_address(home):
    told = missing(lambda: run_directory.Run.open(f"file://{home}/absent"))
    assert told == f"there is no run in {home}/absent: no such folder"


def test_a_step_is_split_off_a_path_with_a_tilde(home):
    (home / "run@3").mkdir()
    assert run.split_step("~/run@3") == ("~/run@3", None)
    assert run.split_step("~/other@3") == ("~/other", 3)


@pytest.mark.parametrize(
    "line",
    [
        "generate --run= --seeds=0",
        "generate --run=x --outdir=",
        "train --config=smoke --workdir=",
        "train --config= --workdir=x",
        "metrics --images= --metrics=fid5k_full",
        "metrics --run=x --out=",
    ],
)
def test_empty_paths_are_refused(line, capsys):
    assert __main__.main(line.split()) == 2
    assert EMPTY in capsys.readouterr().err
    with pytest.raises(ValueError, match="the path '' is empty"):
        data_paths.resolve("")


def test_only_places_knows_homes():
    """Every other reader goes through places.expanded."""
    own = re.compile(r"expanduser|expandvars|Path\.home|XDG_|AFGAN_CACHE\"")
    found = {
        file.name
        for file in (ROOT / "afgan_jax").rglob("*.py")
        if own.search(file.read_text())
    }
    assert found == {"places.py"}


@pytest.fixture
def homeless(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    for name in (places.CACHE, "XDG_CACHE_HOME", "AFGAN_VGG16"):
        monkeypatch.delenv(name, raising=False)
    places.tell.cache_clear()


def test_without_a_home_there_is_no_cache_and_one_line_says_so(homeless, capsys):
    store = cache.Store(cache.usual_folder)
    for _ in range(2):
        assert store.get(("a",), lambda: {"x": np.ones(2)})["x"].sum() == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ValueError, match="no place for weights: AFGAN_CACHE=FOLDER"):
        weights.prepare("vgg16")
    with pytest.raises(ValueError, match="weights of vgg16 are missing"):
        weights.locate("vgg16")


def test_a_set_is_built_for_one_process_where_its_folder_is_closed(
    monkeypatch, tmp_path
):
    built = []

    def build(folder, resolution):
        built.append(folder)
        if folder == tmp_path:
            raise PermissionError(13, "Permission denied")
        return images.numbered(folder / "set", 2)

    monkeypatch.setitem(sets.SETS, "earth", build)
    assert len(sets.open_set("earth", cache_dir=tmp_path)) == 2
    assert built == [tmp_path, places.temporary()]
    assert earth.build is not build


def test_a_compilation_cache_that_is_closed_is_left_out(monkeypatch, capsys, tmp_path):
    import jax

    old = jax.config.jax_compilation_cache_dir
    places.tell.cache_clear()
    try:
        jax.config.update("jax_compilation_cache_dir", "/proc/nowhere")
        compilation_cache.keep(tmp_path)
        assert not jax.config.jax_enable_compilation_cache
    finally:
        jax.config.update("jax_compilation_cache_dir", old)
        jax.config.update("jax_enable_compilation_cache", True)
    assert capsys.readouterr().err.startswith("no cache in /proc/nowhere: ")


def test_matplotlib_needs_no_home():
    code = "from afgan_jax import places; places.spare_matplotlib();"
    code += "from afgan_jax.viz import plot; print('drawn')"
    variables = os.environ | {"HOME": "/proc/nowhere", "PYTHONPATH": str(ROOT)}
    variables.pop("MPLCONFIGDIR", None)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("drawn\n", "")


@pytest.mark.parametrize("end", ["0", "places.exit_at_once(7)", "abort.abort('why')"])
def test_the_temporary_folder_goes_however_a_process_ends(tmp_path, end):
    program = f"""
from afgan_jax import places
from afgan_jax.training import abort
(places.temporary() / "file").touch()
print(places.temporary())
{end}
"""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE
    )
    assert ended.stdout.startswith(str(tmp_path).encode())
    assert not list(tmp_path.iterdir())
    assert ended.returncode == {"0": 0}.get(end, abort.CODE if "abort" in end else 7)
