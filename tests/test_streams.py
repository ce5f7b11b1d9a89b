"""No verb loses work for what becomes of its standard output and error."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afgan_jax import __main__, errors, streams
from afgan_jax.data import archive
from afgan_jax.runs import atomic
from afgan_jax.viz import grid

ROOT = Path(__file__).parents[1]


def shell(line: str, **variables: str) -> subprocess.CompletedProcess:
    """Runs the line, in which $AFGAN is the program; the code is that of $AFGAN."""
    variables |= {"AFGAN": f"{sys.executable} -m afgan_jax"}
    return subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "line, code",
    [
        ("$AFGAN --help | true", 0),
        ("$AFGAN dataset --help 2>&1 | head -1 >/dev/null", 0),
        ("$AFGAN --help >&-", 0),
        ("$AFGAN nonsense 2>&-", 2),
        ("$AFGAN nonsense >&- 2>&- <&-", 2),
        ("$AFGAN nonsense 2>/dev/full", 2),
    ],
)
def test_lost_streams_change_no_exit_code_and_are_not_told(line, code, unbuffered):
    done = shell(line, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_a_full_disk_cuts_off_is_an_error(unbuffered):
    done = shell("$AFGAN --help > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output: No space left on device: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("utf-8", b"\xfc \\ud800 \xc3\xa9"), ("ascii", b"\xfc \\ud800 \\xe9")],
)
def test_any_text_can_be_written_and_names_as_their_bytes(encoding, content):
    text = os.fsdecode(b"\xfc") + " \ud800 \xe9"
    assert text.encode(encoding, streams.ESCAPING) == content


@pytest.mark.parametrize("streams", [">&- 2>&- <&-", "2>&1 | true"])
def test_archives_are_written_without_a_stream(tmp_path, streams):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    archive.write_archive(tmp_path / "in.zip", images)
    line = f"$AFGAN dataset convert {tmp_path}/in.zip {tmp_path}/out.zip {streams}"
    assert shell(line).returncode == 0
    converted = archive.Archive.open(tmp_path / "out.zip")
    assert all((converted[i][0] == image).all() for i, image in enumerate(images))


def test_errors_of_disks_name_path_and_remedy(monkeypatch, capsys):
    monkeypatch.delenv("AFGAN_TRACEBACK", raising=False)
    for number, remedy in errors.REMEDIES.items():

        def fail(*_, number=number):
            with errors.accessing("/some/where"):
                raise OSError(number, os.strerror(number))

        monkeypatch.setattr(__main__, "_dispatch", fail)
        assert __main__.main([]) == 2
        line = f"error: /some/where: {os.strerror(number)}: {remedy}\n"
        assert capsys.readouterr().err == line
    assert errors.in_one_line(OSError(errno.ENOSPC, "a b\nc")) == "a b c"
    assert errors.in_one_line(OSError("plain")) == "plain"


@pytest.mark.parametrize(
    "write",
    [
        lambda path: atomic.write(path, "text"),
        lambda path: grid.save_png(path, np.zeros((8, 8, 3), np.uint8)),
    ],
)
def test_files_that_cannot_be_written_are_named(tmp_path, write):
    (tmp_path / "folder").mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError) as caught:
        write(tmp_path / "folder")
    line = f"{tmp_path}/folder: {os.strerror(errno.EISDIR)}"
    assert errors.in_one_line(caught.value) == line
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
