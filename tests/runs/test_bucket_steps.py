"""Checkpoints in a bucket: written in place, counted when they are whole."""

import signal
import time

import buckets
import pytest
from processes import python
from runs.test_run_directory import abstract, assert_equal, state

from afgan_jax import errors
from afgan_jax.data import paths
from afgan_jax.runs import bucket_steps, checkpoints, retention
from afgan_jax.runs.bucket import Bucket

pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)

SAVE = """
import sys
from pathlib import Path
from runs.test_bucket_steps import opened, state
from afgan_jax.runs.bucket import Bucket
with opened(Bucket(sys.argv[1]), Path(sys.argv[2])) as saved:
    for step in map(int, sys.argv[3].split(",")):
        saved.save(step, state(step))
        saved.wait()
        print("saved", step, flush=True)
"""


def opened(folder: Bucket, tmp_path, **options) -> checkpoints.Checkpoints:
    best = tmp_path / "best.json"
    return checkpoints.Checkpoints(folder, best=best, **options)


@pytest.fixture
def folder(folder_url):
    return Bucket(folder_url)


def save(folder, tmp_path, steps, **options) -> None:
    with opened(folder, tmp_path, **options) as saved:
        for step in steps:
            saved.save(step, state(step))
        saved.wait()


def test_steps_are_saved_kept_and_restored(folder, tmp_path):
    two = retention.Retention(2)
    with opened(folder, tmp_path, retention=two) as saved:
        for step in (1, 2, 3, 4):
            saved.save(step, state(step))
            if step == 1:
                assert saved.record_metric(1, "fid", 3.0)
        saved.wait()
        assert saved.steps() == [1, 3, 4]
        assert_equal(saved.restore(abstract(state(0)))[1], state(4))
        assert_equal(saved.restore(abstract(state(0)), 3)[1], state(3))
    with opened(folder, tmp_path, read_only=True) as saved:
        part = {"G_ema": state(0)["G_ema"]}
        assert_equal(
            saved.restore(abstract(part), partial=True)[1]["G_ema"], state(3)["G_ema"]
        )


def test_a_step_counts_once_it_is_read_back_and_what_comes_first_is_done(
    folder, tmp_path
):
    seen = []

    def before():
        seen.append((bucket_steps.complete(folder), len(folder.names("1/")) > 5))

    with opened(folder, tmp_path, before_commit=before) as saved:
        saved.save(1, state(1))
        saved.wait()
        assert seen == [([], True)] and saved.steps() == [1]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["busy", "dropped"])
def test_a_bad_network_changes_nothing(gcs, folder, tmp_path, fault):
    with gcs.failing(**{fault: 0.05}):
        save(folder, tmp_path, [1, 2], retention=retention.Retention(1))
        with opened(folder, tmp_path) as saved:
            step, tree = saved.restore(abstract(state(0)))
    assert step == 2
    assert_equal(tree, state(2))


@pytest.mark.slow
def test_kill_9_during_a_save_leaves_the_step_before_it(gcs, folder, tmp_path):
    with gcs.failing(held=0.1):
        child = python(SAVE, folder, tmp_path, "1,2")
        while not folder.names("2/state"):
            assert child.poll() is None, child.communicate()[0]
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert folder.names("2/") and bucket_steps.complete(folder) == [1]
    with opened(folder, tmp_path) as saved:
        assert folder.names("2/") == []
        assert_equal(saved.restore(abstract(state(0)))[1], state(1))
        saved.save(2, state(2))
        saved.wait()
        assert_equal(saved.restore(abstract(state(0)))[1], state(2))


def test_a_removal_that_was_killed_is_finished(folder, tmp_path):
    save(folder, tmp_path, [1, 2])
    folder.remove([n for n in folder.names("1/") if n.endswith("manifest.ocdbt")])
    with opened(folder, tmp_path) as saved:
        assert saved.steps() == [2] and folder.names("1/") == []


def test_a_damaged_step_is_set_aside(folder, tmp_path, caplog):
    assert not paths.resolve(f"{folder}/data").exists()  # listed without what follows
    save(folder, tmp_path, [1, 2])
    name = max(folder.names("2/state/ocdbt.process_0/d/"), key=_size(folder))
    data = bytearray(folder.read(name)[0])
    data[len(data) // 2] ^= 255
    folder.write(name, bytes(data))
    with opened(folder, tmp_path) as saved:
        step, tree = saved.restore(abstract(state(0)))
        assert step == 1 and saved.steps() == [1]
        assert "checkpoint 2 is damaged" in caplog.text
        assert_equal(tree, state(1))
        saved.save(2, state(2))
        saved.wait()
        assert saved.steps() == [1, 2]
    assert folder.read(f"set-aside-{name}")[0] == data


def _size(folder):
    return lambda name: len(folder.read(name)[0])


def test_a_bucket_out_of_reach_makes_no_checkpoint_damaged(
    gcs, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("afgan_jax.runs.bucket.TIMEOUT", 0.3)
    save(folder, tmp_path, [1, 2])
    with opened(folder, tmp_path) as saved:
        with gcs.failing(denied=403), pytest.raises(ValueError, match="credentials"):
            saved.restore(abstract(state(0)))
        with gcs.failing(down=True), pytest.raises(errors.Stopped, match="answer"):
            saved.restore(abstract(state(0)))
        assert saved.restore(abstract(state(0)))[0] == 2


def test_an_outage_between_saves_ends_nothing(gcs, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("afgan_jax.runs.bucket.TIMEOUT", 0.3)
    with opened(folder, tmp_path) as saved:
        saved.save(1, state(1))
        saved.wait()
        with gcs.failing(down=True):
            assert saved.record_metric(1, "fid", 3.0)
            with pytest.raises(ValueError, match=r"no checkpoint 2 .*steps: \[1\]"):
                saved.record_metric(2, "fid", 2.0)
    assert (tmp_path / "best.json").exists()


def test_a_save_that_fails_is_told_and_the_next_one_counts(
    gcs, folder, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("afgan_jax.runs.bucket.TIMEOUT", 0.3)
    failures = iter([OSError("the network is down"), None])

    def before():
        failure = next(failures)
        if failure:
            raise failure

    with opened(folder, tmp_path, before_commit=before) as saved:
        saved.save(1, state(1))
        saved.save(2, state(2))
        assert "training continues: checkpoint 1 could not be saved" in caplog.text
        saved.wait()
        assert saved.steps() == [2]
    assert folder.names("1/") == []


def test_the_end_of_a_training_is_not_told_saved_if_it_is_not(folder, tmp_path):
    def before():
        raise OSError("the network is down")

    with pytest.raises(errors.Stopped, match="checkpoint 1 could not be saved"):
        with opened(folder, tmp_path, before_commit=before) as saved:
            saved.save(1, state(1))
            saved.wait()
