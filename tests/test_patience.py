"""Files are read again after errors that pass, and only after those."""

import builtins
import errno
import io
import os
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax import patience
from afgan_jax.data import archive, convert, files, sources
from afgan_jax.runs import atomic, checkpoints, restoring, step_folder

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
    assert f"{os.strerror(number)}; reading it again in 0.001 s" in caplog.text
    disk(number)
    assert opened.files.read_header(opened.images[0]) == ((16, 16), "RGB")
    whole = opened.digest()
    disk(number, number, number)
    assert opened.digest() == whole


def test_an_error_that_lasts_is_told(images, disk):
    opened = archive.Archive.open(images)
    disk(*[errno.EIO] * 4)
    with pytest.raises(OSError, match="00000/img00000002.png") as caught:
        opened[2]
    assert caught.value.errno == errno.EIO
    assert not Unsteady.errors
    assert (opened[2][0] == IMAGES[2]).all()


def test_a_file_that_is_gone_is_told_at_once(images, disk):
    opened = archive.Archive.open(images)
    disk(errno.EIO, errno.EACCES)  # the last one comes first
    with pytest.raises(files.BrokenImage):
        opened[2]
    assert Unsteady.errors == [errno.EIO]


def test_a_checkpoint_is_read_again_before_it_counts_as_damaged(tmp_path, monkeypatch):
    """Orbax tells errors of the system by their number."""
    read, left = restoring._restore, [5, 116]

    def unsteady(*args):
        if left:
            raise ValueError(f"Error reading [os_error_code='{left.pop()}']")
        return read(*args)

    tree = {"w": jnp.arange(3.0)}
    shape = jax.ShapeDtypeStruct((3,), jnp.float32, sharding=tree["w"].sharding)
    with checkpoints.Checkpoints(tmp_path) as saved:
        for step in (1, 2):
            saved.save(step, tree)
        saved.wait()
        monkeypatch.setattr(restoring, "_restore", unsteady)
        assert saved.restore({"w": shape})[0] == 2 and not left
        left += [5] * 4
        assert saved.restore({"w": shape})[0] == 1 and not left


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_step_is_not_incomplete_because_the_disk_does_not_answer(
    tmp_path, monkeypatch, number
):
    for name in step_folder.NEEDED:
        atomic.write(tmp_path / "1" / name, "")
    usual, left = os.stat, [number]

    def unsteady(path, *args, **named):
        if left and str(path).endswith("_METADATA"):
            raise OSError(left.pop(), os.strerror(number), str(path))
        return usual(path, *args, **named)

    monkeypatch.setattr(os, "stat", unsteady)
    assert step_folder.complete(tmp_path) == [1] and not left
    left += [number] * 4
    with pytest.raises(OSError, match="_METADATA"):
        step_folder.complete(tmp_path)


def test_small_files_of_a_run_are_read_again(tmp_path, disk):
    (tmp_path / "file").write_bytes(b"content")
    disk(errno.ESTALE, errno.ETIMEDOUT)
    assert atomic.read(tmp_path / "file") == b"content"
    disk(*[errno.EIO] * 4)
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path}/file'"):
        atomic.read(tmp_path / "file")


def test_reading_goes_on_where_it_failed(tmp_path, disk):
    (tmp_path / "file").write_bytes(bytes(range(256)))
    file = files.Files(archive.paths.resolve(tmp_path)).open("file")
    with file:
        assert file.read(3) == b"\0\1\2"
        file.seek(128)
        disk(errno.ESTALE)
        assert file.read(2) == bytes([128, 129])
        assert file.tell() == 130 and file.read() == bytes(range(130, 256))


def test_a_disk_that_stays_faulty_ends_a_conversion_and_skips_no_image(
    images, disk, tmp_path
):
    source = sources.open_source(images)
    disk(*[errno.ESTALE] * 10**4)
    with pytest.raises(OSError, match="img0000000") as caught:
        convert.convert(source, tmp_path / "out.zip", label_source="none")
    assert caught.value.errno == errno.ESTALE and str(images) in caught.value.filename
    disk()
    done = convert.convert(source, tmp_path / "out.zip", label_source="none")
    assert done.converted == len(IMAGES)
