"""Which checkpoints stay, and the room they take."""

import errno
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax import json_files
from afgan_jax.runs import checkpoints, retention

TREE = {"x": np.arange(1000, dtype=np.float32)}


def opened(folder, newest=2, every=None) -> checkpoints.Checkpoints:
    kept = retention.Retention(newest, every)
    return checkpoints.Checkpoints(folder, retention=kept)


def save(saved, *steps: int) -> list[int]:
    """Saves these steps; returns those that are there in the end."""
    for step in steps:
        saved.save(step, TREE)
    saved.wait()
    return saved.steps()


def test_the_newest_stay(tmp_path):
    with opened(tmp_path) as saved:
        assert save(saved, 1, 2, 3, 7) == [3, 7]


def test_one_every_so_often_stays_also_when_the_run_is_resumed(tmp_path):
    with opened(tmp_path, every=10) as saved:
        assert save(saved, 3, 6, 9, 12, 15, 18) == [3, 15, 18]
    with opened(tmp_path, every=10) as saved:  # 21 was an interruption, say
        assert save(saved, 21, 27, 30, 33, 36, 39) == [3, 15, 27, 36, 39]


def best_steps(folder):
    return retention.Best(folder / "best.json").steps()


def test_the_best_by_each_metric_stays(tmp_path):
    with opened(tmp_path) as saved:
        for step, fid, recall in ((1, 9, 0.1), (2, 4, 0.3), (3, 5, 0.2)):
            save(saved, step)
            saved.record_metric(step, "fid", fid)
            saved.record_metric(step, "recall", recall, higher=True)
        assert best_steps(tmp_path) == {"fid": 2, "recall": 2}
        assert save(saved, 4, 5, 6) == [2, 5, 6]
    with opened(tmp_path) as saved:
        assert not saved.record_metric(6, "fid", 4)  # the older of two equals stays
        assert not saved.record_metric(6, "fid", float("nan"))
        assert saved.record_metric(6, "recall", 0.5, higher=True)
        assert save(saved, 7, 8, 9) == [2, 6, 8, 9]
        assert saved.record_metric(9, "fid", 3)
        assert save(saved, 10, 11) == [6, 9, 10, 11]
    record = json_files.parse((tmp_path / "best.json").read_bytes(), "best.json")
    assert record["fid"] == {"step": 9, "value": 3}


def test_a_step_that_is_not_there_is_not_the_best(tmp_path):
    with opened(tmp_path) as saved:
        save(saved, 1)
        with pytest.raises(ValueError, match=r"no checkpoint 2 .*by fid; steps: \[1\]"):
            saved.record_metric(2, "fid", 1.0)


def test_the_best_is_forgotten_with_its_checkpoint(tmp_path):
    """Else a run that goes on from an earlier step could never beat it."""
    with opened(tmp_path) as saved:
        save(saved, 1, 2)
        saved.record_metric(2, "fid", 1.0)
        shutil.rmtree(next((tmp_path / "2" / "state").rglob("d")))
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), TREE)
        assert saved.restore(abstract)[0] == 1
        assert best_steps(tmp_path) == {}
        save(saved, 2)
        assert saved.record_metric(2, "fid", 2.0)


def test_a_damaged_record_of_the_best_is_named(tmp_path):
    (tmp_path / "best.json").write_text('{"fid": {"step": 2}}')
    with pytest.raises(ValueError, match="best.json is damaged .*; delete it") as error:
        opened(tmp_path)
    assert "\n" not in str(error.value)


def test_settings_become_steps():
    assert retention.make_retention(8) == retention.Retention(3, None, 30.0)
    kept = retention.make_retention(32, keep=5, keep_every_kimg=200.0, minutes=None)
    assert kept == retention.Retention(5, 6250)
    with pytest.raises(ValueError, match="keep=0 must be at least 1"):
        retention.make_retention(8, keep=0)
    with pytest.raises(ValueError, match="keep_every_kimg=0.0 must be above 0"):
        retention.make_retention(8, keep_every_kimg=0.0)


def test_a_save_without_room_is_refused_before_it_writes(tmp_path, monkeypatch):
    tree = {"x": jnp.zeros(10**6)}
    with opened(tmp_path) as saved:
        save(saved, 1)
        before = sorted(tmp_path.rglob("*"))
        free = types.SimpleNamespace(free=4_100_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
        with pytest.raises(OSError, match="takes 5.2 MB, 4.1 MB are free") as error:
            saved.save(2, tree)
        assert error.value.errno == errno.ENOSPC
        assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)
        assert "free some space" in str(error.value)
        assert "last good step: 1" in str(error.value)
        assert sorted(tmp_path.rglob("*")) == before
        free.free = 5_300_000
        saved.save(2, tree)
        saved.wait()
        assert saved.steps() == [1, 2]
