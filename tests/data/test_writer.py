"""Conversions that were interrupted go on, and end in the same bytes."""

import errno
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from data.conversions import broken_set, content, made, read
from data.images import encoded, noise, numbered
from etils import epath

from afgan_jax import errors
from afgan_jax.data import writer


class Killed(BaseException):
    pass


@pytest.mark.parametrize("suffix", ["", ".zip"])
@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_an_interrupted_conversion_goes_on(tmp_path, monkeypatch, suffix, after):
    source = broken_set(tmp_path / "in")
    numbered(source, 6, names="more/{}.png")  # 9 good ones in all
    whole, resumed = tmp_path / f"whole{suffix}", tmp_path / f"some{suffix}"
    made(source, whole, size=(8, 8))
    kinds = (writer.ZipWriter, writer.FolderWriter)
    for kind in kinds:
        monkeypatch.setattr(kind, "add", interrupted(kind.add, after))
        monkeypatch.setattr(kind, "finish", interrupted(kind.finish, 0))
    with pytest.raises(Killed):
        made(source, resumed, size=(8, 8))
    monkeypatch.undo()
    assert not resumed.exists()
    report = made(source, resumed, size=(8, 8))
    assert (report.resumed, report.converted) == (after, 9)
    assert content(resumed) == content(whole)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_full_disk_is_told_with_the_archive_and_leaves_what_is_there(tmp_path, name):
    source = numbered(tmp_path / "in", 9, (64, 64))
    script = (
        "import resource, sys; from afgan_jax import __main__;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST));"
        "sys.exit(__main__.main(sys.argv[1:]))"
    )
    limit = "30000" if name == "out.zip" else "9000"  # of a zip, of an image
    command = [sys.executable, "-c", script.replace("MOST", limit)]
    command += ["dataset", "convert", str(source), str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    remedy = errors.REMEDIES[errno.EFBIG]
    told = f"error: {tmp_path / name}: {os.strerror(errno.EFBIG)}: {remedy}\n"
    assert done.stderr == told
    assert made(source, tmp_path / name).converted == 9


def test_the_head_of_an_image_is_not_the_image(tmp_path):
    """zipfile writes it first, and completes it last."""
    out = epath.Path(tmp_path / "out.zip")
    begun = writer.open_writer(out, "key")
    names = [writer.image_name(index) for index in range(2)]
    begun.add(names[0], b"image")
    begun.leave()
    head = writer._info(names[1])
    head.CRC = head.compress_size = 0
    (partial,) = tmp_path.glob(".*.partial")
    with partial.open("ab") as file:
        file.write(head.FileHeader())
    resumed = writer.open_writer(out, "key")
    assert resumed.names == {names[0]}
    resumed.add(names[1], b"other")
    resumed.finish({"labels": None})
    with zipfile.ZipFile(out) as file:
        assert [file.read(name) for name in names] == [b"image", b"other"]


def interrupted(function, after):
    calls = []

    def call(*arguments):
        if len(calls) == after:
            raise Killed
        calls.append(None)
        return function(*arguments)

    return call


def flipped(content):
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


@pytest.mark.parametrize(
    "harm",
    [
        *(lambda content, cut=cut: content[:-cut] for cut in (1, 40, 1000, 100_000)),
        flipped,
        lambda content: flipped(content) + bytes(10_000),  # as a crash may leave
    ],
)
def test_a_zip_cut_off_or_damaged_anywhere_goes_on(tmp_path, monkeypatch, harm):
    source = numbered(tmp_path / "in", 9, (16, 16))
    made(source, tmp_path / "whole.zip")
    monkeypatch.setattr(writer.ZipWriter, "finish", interrupted(None, 0))
    with pytest.raises(Killed):
        made(source, tmp_path / "a.zip")
    monkeypatch.undo()
    (partial,) = tmp_path.glob(".a.zip.*.partial")
    partial.write_bytes(harm(partial.read_bytes()))
    report = made(source, tmp_path / "a.zip")
    assert report.resumed < report.converted == 9
    assert content(tmp_path / "a.zip") == content(tmp_path / "whole.zip")


@pytest.mark.parametrize("change", ["settings", "source"])
def test_what_no_longer_fits_is_made_anew(tmp_path, monkeypatch, change):
    source = numbered(tmp_path / "in", 3)
    monkeypatch.setattr(writer.ZipWriter, "finish", interrupted(None, 0))
    with pytest.raises(Killed):
        made(source, tmp_path / "a.zip", size=(8, 8))
    monkeypatch.undo()
    if change == "source":
        (source / "1.png").write_bytes(encoded(noise(seed=99)))
    size = (4, 4) if change == "settings" else (8, 8)
    report = made(source, tmp_path / "a.zip", size=size)
    assert report.resumed == 0
    assert not list(tmp_path.glob(".*"))
    if change == "source":
        np.testing.assert_array_equal(read(tmp_path / "a.zip")[0][1], noise(seed=99))


def test_two_processes_do_not_write_one_archive(tmp_path, monkeypatch):
    source = numbered(tmp_path / "in", 3)
    again = []

    def finish(self, table):
        with pytest.raises(ValueError, match="another process is writing"):
            made(source, tmp_path / "a.zip")
        again.append(self)
        self.discard()

    monkeypatch.setattr(writer.ZipWriter, "finish", finish)
    made(source, tmp_path / "a.zip")
    assert again


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_full_disk_keeps_what_was_done(tmp_path, monkeypatch, suffix):
    source = numbered(tmp_path / "in", 4)
    for kind in (writer.ZipWriter, writer.FolderWriter):
        monkeypatch.setattr(kind, "add", full_after(kind.add, 2))
    with pytest.raises(OSError, match="No space left"):
        made(source, tmp_path / f"a{suffix}")
    monkeypatch.undo()
    assert not (tmp_path / f"a{suffix}").exists()
    assert made(source, tmp_path / f"a{suffix}").resumed == 2


def full_after(function, count):
    calls = []

    def call(*arguments):
        if len(calls) == count:
            raise OSError(28, "No space left on device")
        calls.append(None)
        return function(*arguments)

    return call
