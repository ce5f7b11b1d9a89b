"""The contact sheet: its commands are commands, and no verb that draws is left out."""

import importlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from afgan_jax import __main__
from afgan_jax.cli import command
from afgan_jax.viz import grid

ROOT = Path(__file__).parents[2]
DRAWS = r"save_figure|save_png|plot\.save|draw_scaling"


@pytest.fixture(scope="module")
def contact_sheet():
    spec = importlib.util.spec_from_file_location(
        "contact_sheet", ROOT / "launch" / "contact_sheet.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_is_one(contact_sheet, tmp_path):
    run, images = tmp_path / "run", tmp_path / "set.zip"
    run.mkdir()
    images.touch()
    for _, (verb, *words) in contact_sheet.commands(str(run), str(images), tmp_path):
        module = importlib.import_module(__main__.VERBS[verb][0])
        assert command.read(module, verb, words) is not None


def test_no_verb_that_draws_is_left_out(contact_sheet):
    used = {" ".join(words[:2]) for _, words in contact_sheet.commands("r", "i", ROOT)}
    folder = ROOT / "afgan_jax" / "cli"
    drawing = [p for p in folder.rglob("*.py") if re.search(DRAWS, p.read_text())]
    assert len(drawing) > 9
    for path in drawing:
        verb = " ".join(path.relative_to(folder).with_suffix("").parts)
        verb = verb.replace("_", "-")
        assert any(f"{words} ".startswith(f"{verb} ") for words in used), verb


def test_the_sheet_shows_all_that_is_not_numbered(contact_sheet, tmp_path):
    for name in ("a/seed0000", "a/seed0001", "a/grid", "b/curves", "b/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shade = 255 if name == "a/grid" else 0
        grid.save_png(tmp_path / f"{name}.png", np.full((9, 9, 3), shade, np.uint8))
    names = [str(p.relative_to(tmp_path)) for p in contact_sheet.pictures(tmp_path)]
    assert names == ["a/grid.png", "b/curves.png"]
    with Image.open(contact_sheet.sheet(tmp_path)) as opened:
        sheet = np.asarray(opened.convert("L"))
    dark = sheet == 0
    assert (
        dark[:, len(dark[0]) // 2 :].sum() > 1000 > dark[:, : len(dark[0]) // 2].sum()
    )
