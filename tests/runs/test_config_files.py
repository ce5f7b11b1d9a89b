"""Config files: where they are found, what they may import."""

import pathlib
import sys

import pytest

from afgan_jax.runs import config, config_files

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    "spec", ["earth64:t", "earth64.py:t", "configs/earth64.py:t", "{configs}/earth64:t"]
)
def test_a_config_is_found_by_name_and_path_from_any_folder(
    spec, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    there = config_files.find(spec.format(configs=CONFIGS))
    assert there == (CONFIGS / "earth64.py", "t")


def test_an_installed_package_has_its_configs_inside(tmp_path, monkeypatch):
    package = tmp_path / "afgan_jax"
    monkeypatch.setattr(config_files, "__file__", str(package / "runs" / "x.py"))
    assert config_files.folder() == tmp_path / "configs"
    (package / "configs").mkdir(parents=True)
    assert config_files.folder() == package / "configs"
    setup = (CONFIGS.parent / "setup.py").read_text()
    assert 'package_dir={"afgan_jax.configs": "configs"}' in setup


def test_a_config_in_the_working_folder_comes_first(tmp_path, monkeypatch):
    (tmp_path / "earth64.py").write_text("def get_config():\n    return {'a': {}}\n")
    monkeypatch.chdir(tmp_path)
    assert config.load("earth64") == {"a": {}}


def test_files_of_a_folder_may_import_each_other_and_build_on_the_projects(tmp_path):
    (tmp_path / "one.py").write_text("SIZE = 16\n")
    (tmp_path / "two.py").write_text(
        "from afgan_jax.runs import config\n"
        "from . import one\n"
        "def get_config():\n"
        "    found = config.load('smoke')\n"
        "    found['data']['resolution'] = 2 * one.SIZE\n"
        "    return found\n"
    )
    before = set(sys.modules)
    assert config.load(str(tmp_path / "two.py"))["data"]["resolution"] == 32
    assert not {n for n in set(sys.modules) - before if "config_files_" in n}


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(ValueError, match="no config file erth64.py; did you mean ea"):
        config.load("erth64")


def test_what_is_no_config_is_told_so():
    with pytest.raises(ValueError, match="base.py is broken: .*get_config"):
        config.load("base")
