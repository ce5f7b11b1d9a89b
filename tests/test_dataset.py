"""The verb dataset, as it is typed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data.images import encoded, folder, noise, numbered
from PIL import Image

from afgan_jax import __main__
from afgan_jax.cli.dataset import convert as verb
from afgan_jax.data import archive

ROOT = Path(__file__).parents[1]


def typed(*words):
    return __main__.main(["dataset", *map(str, words)])


def process(*words, text=True):
    command = [sys.executable, "-m", "afgan_jax", "dataset", *map(str, words)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
    )


def test_convert_says_what_it_made_and_what_it_left_out(tmp_path, capsys):
    source = numbered(tmp_path / "in", 3, (12, 9), "{}/a.png")
    (source / "b.png").write_bytes(b"no image")
    out = tmp_path / "a.zip"
    assert typed("convert", source, out, "--size=8", "--fit=crop", "--workers=2") == 0
    said = capsys.readouterr()
    assert f"{out}: 3 images, no labels\n" in said.out
    assert "--labels=folders would make its folders classes" in said.out
    assert f"1 left out, listed in {out}.skipped.txt" in said.err
    listed = Path(f"{out}.skipped.txt").read_text()
    assert listed.startswith("b.png\t") and listed.count("\n") == 1
    assert len(archive.Archive.open(out, resolution=8)) == 3


def test_convert_says_what_it_did_not_use_and_what_came_out_dark(tmp_path, capsys):
    dark = encoded(np.full([8, 8], 4095, np.uint16))
    files = {"0.png": encoded(noise()), "dark.png": dark, "a.heic": b"", "a.csv": b""}
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(2)]
    more = {"save_all": True, "append_images": frames[1:]}
    files["anim.gif"] = encoded(frames[0], "gif", **more)
    source, out = folder(tmp_path / "in", files), tmp_path / "a.zip"
    assert typed("convert", source, out) == 0
    said = capsys.readouterr().err
    assert "1 of 16 bits came out nearly black, such as dark.png: if they" in said
    assert "  1 have several frames or pages, of which the first is used" in said
    assert "  not used: 1 HEIC (a.heic; pip install pillow-heif)\n" in said
    assert "  not used: files that may hold labels: a.csv\n" in said
    flags = ("--depth=12", "--max-pixels=64", "--labels=none")
    assert typed("convert", source, tmp_path / "b.zip", *flags) == 0
    said = capsys.readouterr().err
    assert "nearly black" not in said and "a.csv" not in said and "a.heic" in said


def test_names_are_told_and_listed_as_the_bytes_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    source, out = tmp_path / "in", tmp_path / os.fsdecode(b"\xfc.zip")
    names = (b"a/0.png", b"\xfc/\xe9.png", b"br\xfcck.png", b"new\nline.png")
    contents = (encoded(noise()), encoded(noise(seed=1)), b"no image", b"no image")
    folder(source, dict(zip(map(os.fsdecode, names), contents, strict=True)))
    said, errors = process("convert", source, out, text=False).communicate()
    assert os.fsencode(out) + b": 2 images" in said
    assert b"    br\xfcck.png: Pillow cannot" in errors
    listed = Path(f"{out}.skipped.txt").read_bytes()
    assert b"br\xfcck.png\t" in listed and b"new\\nline.png\t" in listed
    assert listed.count(b"\n") == 2
    said, errors = process("check", source, text=False).communicate()
    assert b"br\xfcck.png cannot be read" in said and errors == b""


def test_flags_may_stand_before_the_paths(tmp_path, capsys):
    source = numbered(tmp_path / "in", 2, names="{}/a.png")
    out = tmp_path / "out"
    assert typed("convert", "--labels=folders", source, out) == 0
    said = capsys.readouterr().out
    assert f"{out}: 2 images\n" in said
    assert "  labels: 2 classes; images of each: 0 (0): 1, 1 (1): 1\n" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "dataset '' is unknown; use one of convert, check"),
        (["convret", "a", "b"], "'convret' is unknown; did you mean convert?"),
        (["check"], "SET is missing"),
        (["check", "none"], "none does not exist"),
        (["check", "empty"], "empty holds no images"),
        (["convert", "a"], "OUT is missing"),
        (["convert", "a", "b", "--size"], "--size has no value: write --size=VALUE"),
        (["convert", "a", "b", "--size=8by8"], "--size=8by8 must be WIDTHxHEIGHT"),
        (["convert", "a", "b", "--size=0"], "--size=0 must be WIDTHxHEIGHT"),
        (["convert", "a", "b", "--size=8x5"], "--size=8x5 must be even"),
        (["convert", "a", "b", "--fit=pad"], "fit=pad"),
        (["convert", "none", "b"], "none does not exist: give a folder, a zip"),
        (["convert", "a", "a"], "a exists: remove it, or choose another name"),
        (["convert", "oblong", "b", "--size=8"], "choose a fit, crop (the middle)"),
        (["convert", "empty", "b"], "empty holds no images"),
        (["convert", "partly", "b"], "lacks the labels of 1 of 2 images, first 1.png"),
        (["convert", "a", "oblong/0.png/b.zip"], "b.zip cannot be written"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(
    tmp_path, capsys, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AFGAN_TRACEBACK", raising=False)
    numbered(tmp_path / "a", 2)
    partly = numbered(tmp_path / "partly", 2)
    (partly / "dataset.json").write_text('{"labels": [["0.png", 1]]}')
    folder(tmp_path, {"oblong/0.png": encoded(noise((8, 6))), "empty/a.txt": b""})
    before = sorted(tmp_path.iterdir())
    assert typed(*words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_check_tells_what_is_there_and_how_to_train_on_it(tmp_path, capsys):
    source = numbered(tmp_path / "in", 3, (32, 32), "{}/a.png")
    assert typed("convert", source, tmp_path / "a.zip", "--labels=folders") == 0
    capsys.readouterr()
    assert typed("check", tmp_path / "a.zip", "--sample=2") == 0
    said = capsys.readouterr().out
    assert "3 images\n  size: 32x32\n  mode: RGB\n" in said
    assert "none of 2 checked" in said
    assert "3 classes of 1" in said
    assert "train --config=configs/earth32.py" in said
    assert (
        "--config.generator.mapping.c_dim=3" in said
        and "R1 gamma 0.128 = 0.001" in said
    )


@pytest.mark.parametrize(
    ("text", "size"), [("256x128", (256, 128)), ("64", (64, 64)), ("8X8", (8, 8))]
)
def test_sizes_are_one_number_or_two(text, size):
    assert verb.size(text) == size


@pytest.mark.parametrize("out", ["a.zip", "a"])
def test_a_killed_conversion_goes_on(tmp_path, out):
    source = numbered(tmp_path / "in", 400, (96, 96))
    flags = ("--size=128", "--workers=1")
    first = process("convert", source, tmp_path / out, *flags)
    deadline = time.monotonic() + 60
    while not far_enough(tmp_path) and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (tmp_path / out).exists() and len(list(tmp_path.glob(".*"))) == 1
    second = process("convert", source, tmp_path / out, *flags)
    said, errors = second.communicate()
    assert second.returncode == 0 and errors == ""
    assert "400 images, no labels" in said and "of them from an earlier attempt" in said
    assert not list(tmp_path.glob(".*"))
    whole = tmp_path / f"whole{Path(out).suffix}"
    assert typed("convert", source, whole, *flags) == 0
    assert contents(tmp_path / out) == contents(whole)


def far_enough(top):
    """Whether some of the images are in a partial archive."""
    sizes = [path.stat().st_size for path in top.glob(".*.partial")]
    return any(top.glob(".*.partial/00000/*20.png")) or max(sizes, default=0) > 10**6


def contents(path):
    if path.is_file():
        return path.read_bytes()
    found = [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in found}
