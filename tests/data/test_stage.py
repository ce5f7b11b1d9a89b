"""Copies on a local disk: equal, or not there."""

import contextlib
import http.server
import re
import subprocess
import sys
import threading
import zipfile

import buckets
import numpy as np
import pytest
from etils import epath

from afgan_jax import __main__, errors, locks, patience
from afgan_jax.data import archive, stage

pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)


@pytest.fixture
def source(tmp_path):
    return archive.write_archive(tmp_path / "from" / "set.zip", IMAGES)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content`; to each request so many bytes as `limits` has, then all."""

    content, limits, knows_ranges, starts = b"", [], True, ()

    def do_GET(self):
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.knows_ranges else 0
        # Before anything is sent: the next request may come while this one ends.
        Server.starts += (start,)
        part = self.content[start:][: self.limits.pop(0) if self.limits else None]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(part)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(source, monkeypatch):
    """The address of the source on a server."""
    monkeypatch.setattr(patience, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(Server, "content", source.read_bytes())
    monkeypatch.setattr(Server, "limits", [])
    monkeypatch.setattr(Server, "starts", ())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a%20b/set.zip"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["here", "bucket", "web"])
def address(request, source):
    """The source, wherever it lies."""
    if request.param == "web":
        return request.getfixturevalue("web")
    if request.param == "bucket":
        path = request.getfixturevalue("folder_url") + "/set.zip"
        epath.Path(path).write_bytes(source.read_bytes())
        return path
    return str(source)


def copied(address, folder) -> bool:
    """Whether it had to be copied; the copy is equal and alone in the end."""
    path, size, is_new = stage.stage(address, folder)
    assert path == folder / "set.zip" and size == path.stat().st_size
    assert {p.name for p in folder.iterdir()} == {"set.zip", ".set.zip.lock"}
    return is_new


def test_a_copy_is_equal_and_made_once(source, address, tmp_path):
    folder = tmp_path / "to"
    folder.mkdir()
    assert copied(address, folder) and not copied(address, folder)
    assert (folder / "set.zip").read_bytes() == source.read_bytes()
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1  # of an image: neither size nor directory
    (folder / "set.zip").write_bytes(content)
    assert copied(address, folder) and not copied(address, folder)
    assert (folder / "set.zip").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_copy_goes_on_where_it_was_interrupted(
    source, web, tmp_path, monkeypatch, knows_ranges
):
    monkeypatch.setattr(Server, "knows_ranges", knows_ranges)
    Server.limits += [None, 9000, 0, 0]  # to learn the size, and three tries
    with pytest.raises(errors.Stopped, match="copied in part .*same command to go on"):
        stage.stage(web, f"{tmp_path}/to/")
    part = tmp_path / "to" / ".set.zip.part"
    assert part.stat().st_size > 0 and not (tmp_path / "to" / "set.zip").exists()
    have, Server.starts = part.stat().st_size, ()
    assert copied(web, tmp_path / "to")
    # To learn the size, to go on, and to compare the directory.
    assert len(Server.starts) == 3 and (not knows_ranges or Server.starts[1] == have)
    assert (tmp_path / "to" / "set.zip").read_bytes() == source.read_bytes()


def test_connections_that_break_are_made_anew(web, tmp_path):
    Server.limits += [None, 5000]
    (tmp_path / "to").mkdir()
    assert copied(web, tmp_path / "to") and Server.starts[2] == 5000


def test_the_part_of_another_version_is_not_gone_on_with(source, tmp_path):
    folder = tmp_path / "to"
    folder.mkdir()
    (folder / ".set.zip.part").write_bytes(b"x" * 2000)
    assert copied(source, folder)
    (folder / ".set.zip.part").write_bytes(b"x" * 10**6)
    (folder / "set.zip").unlink()
    assert copied(source, folder)


def test_what_cannot_be_copied_is_told_in_one_line(source, tmp_path, capsys):
    folder = f"{tmp_path}/to/"
    (tmp_path / "none.zip").write_bytes(b"no zip" * 1000)
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "bad.zip").write_bytes(content)
    for words, message in (
        ((tmp_path / "no.zip", folder), "no.zip does not exist: give a zip"),
        ((tmp_path / "from", folder), "from is a folder: make a zip of it with"),
        ((tmp_path / "none.zip", folder), "none.zip is no undamaged zip"),
        ((tmp_path / "bad.zip", folder), "bad.zip is damaged at 00000/img0000"),
        ((source, "gs://bucket/"), "gs://bucket/ is not on this machine"),
        (("http://127.0.0.1:9/set.zip", folder), "set.zip cannot be read: "),
    ):
        assert __main__.main(["dataset", "stage", *map(str, words)]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
    assert not list(tmp_path.glob("to/*.zip")) + list(tmp_path.glob("to/.*.part"))


def test_processes_wait_for_the_first_that_copies(source, tmp_path):
    folder = tmp_path / "to"
    folder.mkdir()
    words = ["-m", "afgan_jax", "dataset", "stage", source, folder]
    with locks.Lock(folder / ".set.zip.lock"):
        child = subprocess.Popen(
            [sys.executable, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr.readline().startswith("waiting for another process that")
        (folder / "set.zip").write_bytes(source.read_bytes())
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0 and "set.zip was there, " in out
    assert f"--config.data.path={folder}/set.zip" in out
    with zipfile.ZipFile(folder / "set.zip") as copy:
        assert copy.testzip() is None


def test_a_bucket_that_fails_for_a_while_is_read_in_the_end(
    source, gcs, folder_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(patience, "PAUSES", (0.0, 0.0))
    (tmp_path / "to").mkdir()
    epath.Path(f"{folder_url}/set.zip").write_bytes(source.read_bytes())
    with gcs.failing(busy=0.15, dropped=0.1):
        assert copied(f"{folder_url}/set.zip", tmp_path / "to")
    assert not copied(f"{folder_url}/set.zip", tmp_path / "to")
