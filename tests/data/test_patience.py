"""Files are read again after errors that pass, and only after those."""

import builtins
import errno
import io
import os
import zipfile

import numpy as np
import pytest

from afgan_jax.data import archive, files, patience

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    monkeypatch.setattr(patience, "PAUSES", (0.0, 0.001, 0.002))


@pytest.fixture(params=["set.zip", "set"])
def images(request, tmp_path):
    """A zip, and a folder of the same files."""
    path = archive.write_archive(tmp_path / "set.zip", IMAGES)
    if request.param == "set":
        with zipfile.ZipFile(path) as file:
            file.extractall(tmp_path / "set")
    return tmp_path / request.param


class Unsteady(io.FileIO):
    """A file whose reads fail while there are errors left, like one gone stale."""

    errors: list[int] = []
    opened = 0

    def __init__(self, path):
        super().__init__(path, "rb")
        Unsteady.opened += 1

    def _fail(self):
        if self.errors:
            number = self.errors.pop()
            raise OSError(number, os.strerror(number))

    def readinto(self, buffer):
        self._fail()
        return super().readinto(buffer)

    def readall(self):
        self._fail()
        return super().readall()


@pytest.fixture
def disk(monkeypatch):
    """disk(numbers): the next reads of files below fail with these errors."""
    usual = builtins.open

    def unsteady(path, mode="r", *args, **named):
        if mode == "rb":
            return io.BufferedReader(Unsteady(path), buffer_size=64)
        return usual(path, mode, *args, **named)

    monkeypatch.setattr(builtins, "open", unsteady)
    monkeypatch.setattr(io, "open", unsteady)

    def fail(*numbers: int):
        Unsteady.errors[:] = numbers

    yield fail
    Unsteady.errors.clear()


@pytest.mark.parametrize("number", sorted(patience.PASSING), ids=errno.errorcode.get)
def test_errors_that_pass_change_nothing(images, disk, caplog, number):
    opened = archive.Archive.open(images)
    for i, image in enumerate(IMAGES):
        before = Unsteady.opened
        disk(number, number)
        assert (opened[i][0] == image).all()
        assert not Unsteady.errors and Unsteady.opened >= before + 2
    assert f"{os.strerror(number)}; read again in 0.001 s" in caplog.text
    disk(number)
    assert opened.files.read_header(opened.images[0]) == ((16, 16), "RGB")
    whole = opened.digest()
    disk(number, number, number)
    assert opened.digest() == whole


def test_an_error_that_lasts_is_told(images, disk):
    opened = archive.Archive.open(images)
    disk(*[errno.EIO] * 4)
    with pytest.raises(files.BrokenImage, match="00000/img00000002.png cannot be"):
        opened[2]
    assert not Unsteady.errors
    assert (opened[2][0] == IMAGES[2]).all()


def test_a_file_that_is_gone_is_told_at_once(images, disk):
    opened = archive.Archive.open(images)
    disk(errno.EIO, errno.EACCES)  # the last one comes first
    with pytest.raises(files.BrokenImage):
        opened[2]
    assert Unsteady.errors == [errno.EIO]


def test_reading_goes_on_where_it_failed(tmp_path, disk):
    (tmp_path / "file").write_bytes(bytes(range(256)))
    file = files.Files(archive.paths.resolve(tmp_path)).open("file")
    with file:
        assert file.read(3) == b"\0\1\2"
        file.seek(128)
        disk(errno.ESTALE)
        assert file.read(2) == bytes([128, 129])
        assert file.tell() == 130 and file.read() == bytes(range(130, 256))
