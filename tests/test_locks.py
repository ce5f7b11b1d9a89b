"""Locks protect where there are any, and hinder nobody where there are none."""

import errno
import fcntl
import logging
import os

import pytest
from etils import epath

from afgan_jax import locks
from afgan_jax.data import writer
from afgan_jax.runs import run_directory


def test_a_lock_holds_until_it_is_closed(tmp_path):
    for path in (tmp_path / "file", tmp_path):
        with locks.Lock(path) as lock:
            assert lock.is_held
            with pytest.raises(BlockingIOError):
                locks.Lock(path)
        locks.Lock(path).close()


@pytest.fixture(
    params=["ENOSYS", "EOPNOTSUPP", "ENOLCK", "EINVAL", "EBADF", "EIO", "EPERM"]
)
def lockless(request, monkeypatch, caplog):
    """A file system without locks; returns the warnings."""

    def refuse(*_):
        number = getattr(errno, request.param)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    caplog.set_level(logging.WARNING, "afgan_jax")
    return lambda: [record.getMessage() for record in caplog.records]


def test_training_needs_no_locks(tmp_path, lockless):
    with run_directory.Run.create_or_open(tmp_path, {"a": {"b": 1}}) as run:
        assert run.config == {"a": {"b": 1}}
    (line,) = lockless()
    assert line.startswith(f"{tmp_path}/.lock cannot be locked (")


def test_a_folder_that_others_locked_first_needs_no_rights(tmp_path, caplog):
    (tmp_path / ".lock").symlink_to("/proc/nowhere")  # cannot be made
    run_directory.Run.create_or_open(tmp_path, {"a": {"b": 1}}).close()
    assert "cannot be locked" in caplog.text


@pytest.mark.parametrize("name", ["out.zip", "out"])
def test_conversion_needs_no_locks_and_then_removes_no_work(tmp_path, lockless, name):
    out = epath.Path(tmp_path / name)
    writer.open_writer(out, "one").leave()
    second = writer.open_writer(out, "two")
    assert (tmp_path / f".{name}.one.partial").exists()  # may be another's
    second.add("00000/img00000000.png", b"content")
    second.finish({})
    assert out.exists() and "cannot be locked" in "".join(lockless())
