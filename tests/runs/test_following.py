"""A run is watched while it is written, and its steps are kept elsewhere."""

import json
import shutil
import time

import pytest
import tiny

from afgan_jax import json_files
from afgan_jax.runs import backup, following, location, run_directory


@pytest.fixture
def run(tmp_path):
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", resolution=16, num_layers=4)
    config = json.loads((run / "config.json").read_text())
    del config[json_files.SEAL]
    config["updates"] = {"batch_size": 8}
    (run / "config.json").write_text(json.dumps(config))
    return run


def line(run, nimg):
    with (run / "stats.jsonl").open("a") as file:
        file.write(f'{{"nimg": {nimg}}}\n')


def wait(test):
    for _ in range(1500):
        if test():
            return True
        time.sleep(0.02)
    return False


def test_what_is_new_in_a_run_is_told_while_it_is_written(run):
    heard = []
    told = lambda found: heard.append([row["nimg"] for row in found.stats])  # noqa: E731
    with following.following(run, told, seconds=0.01):
        assert wait(lambda: len(heard) == 1)
        line(run, 8)
        assert wait(lambda: heard[-1] == [8])
        time.sleep(0.1)
        assert len(heard) == 2  # nothing new, nothing told
    line(run, 16)
    with following.following(run, told, seconds=1000.0):
        pass
    assert heard[-1] == [8, 16]  # at the end


def test_a_run_that_has_not_begun_is_waited_for(tmp_path):
    heard = []
    with following.following(tmp_path / "none", heard.append, seconds=0.01):
        time.sleep(0.05)
    assert heard == []


def test_an_error_of_the_watcher_ends_nothing_and_is_said_once(run, capsys):
    def told(found):
        raise OSError("the drive is gone")

    with following.following(run, told, seconds=0.01):
        assert wait(lambda: "gone" in capsys.readouterr().err)
        line(run, 8)
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_the_block_s_own_error_is_raised(run):
    with pytest.raises(KeyboardInterrupt):
        with following.following(run, lambda found: None, seconds=0.01):
            raise KeyboardInterrupt


def copy_of(run, step):
    """The run, as if its one checkpoint were of another step."""
    (old,) = location.of(run).steps()
    folder = run / "checkpoints"
    (folder / str(old)).rename(folder / str(step))


def test_newest_steps_are_kept_elsewhere_and_a_lost_run_comes_back(run, tmp_path):
    drive = tmp_path / "drive" / "earth"
    (step,) = location.of(run).steps()
    assert backup.save(run, drive) == drive / str(step)
    assert backup.save(run, drive) is None  # it is there
    assert backup.restore(drive, run) is None  # there is a run
    shutil.rmtree(run)
    assert backup.restore(drive, run) == step
    with run_directory.Run.open(run) as found:
        assert found.steps() == [step]


def test_only_the_newest_stay_and_parts_go(run, tmp_path):
    drive = tmp_path / "drive"
    (step,) = location.of(run).steps()
    for old in (1, 3, 2):
        (drive / str(old)).mkdir(parents=True)
    (drive / ".copy-x").mkdir()
    (drive / "mine").mkdir()
    copied = max(step, 4)
    copy_of(run, copied)
    backup.save(run, drive)
    assert sorted(path.name for path in drive.iterdir()) == ["3", str(copied), "mine"]


def test_a_damaged_copy_is_passed_over(run, tmp_path):
    drive, back = tmp_path / "drive", tmp_path / "back"
    (step,) = location.of(run).steps()
    backup.save(run, drive)
    shutil.copytree(drive / str(step), drive / str(step + 1))
    copy_of(drive / str(step + 1), step + 1)
    damaged = drive / str(step + 1) / "checkpoints" / str(step + 1)
    for path in damaged.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    assert backup.restore(drive, back) == step
    shutil.rmtree(drive / str(step))
    with pytest.raises(ValueError, match="no copy in .* is whole: "):
        backup.restore(drive, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_nothing_is_kept_of_nothing(tmp_path):
    assert backup.save(tmp_path / "none", tmp_path / "drive") is None
    assert backup.restore(tmp_path / "drive", tmp_path / "none") is None
