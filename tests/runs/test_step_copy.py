"""Checkpoints copied out of runs and removed by rule, on a disk and in a bucket."""

import json
from pathlib import Path

import buckets
import pytest
from runs.test_run_directory import CONFIG, abstract, assert_equal, state

from afgan_jax.__main__ import main
from afgan_jax.runs import run_directory, step_copy
from afgan_jax.runs.bucket import Bucket

pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)
SETTINGS = CONFIG | {"updates": {"batch_size": 4}}


def save(workdir, steps=(1, 2, 3), best=None):
    """A run, measured at every step and best at one of them."""
    with run_directory.Run.create_or_open(workdir, SETTINGS) as run:
        for step in steps:
            run.save(step, state(step))
            run.append_stats({"nimg": 4 * step})
            results = {"fid5k_full": 1.0 if step == best else 9.0 + step}
            run.append_metric("fid5k_full", results, step=step, seconds=1)


@pytest.fixture(params=["folder", "bucket"])
def source(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "run")
    return request.getfixturevalue("folder_url")


@pytest.mark.parametrize("to", ["folder", "bucket"])
def test_a_copied_step_is_a_run_that_goes_on(source, to, tmp_path, request, capsys):
    target = str(tmp_path / "copy")
    if to == "bucket":
        target = request.getfixturevalue("folder_url") + "-copy"
    save(source, best=3)
    assert main(["checkpoint", "copy", f"{source}@2", f"--out={target}"]) == 0
    assert "copied step 2 to" in capsys.readouterr().err
    with run_directory.Run.open(target) as run:
        assert run.steps() == [2] and run.config == SETTINGS
        assert_equal(run.restore(abstract(state(0)))[1], state(2))
    with run_directory.Run.create_or_open(target, SETTINGS) as run:
        lines = (run.path / "metric-fid5k_full.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [1, 2]
        assert run.truncate_stats(8) == 2
        run.save(3, state(3))
        run.checkpoints.wait()
        assert run.steps() == [2, 3]
    assert main(["checkpoint", "copy", source, f"--out={target}"]) == 2
    assert "is there already: name a new place" in capsys.readouterr().err


def test_of_a_damaged_step_nothing_is_copied(source, tmp_path, capsys):
    save(source)
    damage(source, 3)
    capsys.readouterr()
    assert main(["checkpoint", "copy", source, f"--out={tmp_path / 'copy'}"]) == 2
    error = capsys.readouterr().err
    assert f"error: checkpoint 3 of {source} is damaged (the checksum of" in error
    assert error.count("\n") == 1
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]
    damage(source, 2, "manifest.ocdbt")
    assert main(["checkpoint", "copy", f"{source}@2", f"--out={tmp_path / 'c'}"]) == 2
    error = capsys.readouterr().err
    assert f"error: checkpoint 2 of {source} is damaged (" in error
    assert error.count("\n") == 1 and len(error) < 600
    assert main(["checkpoint", "copy", f"{source}@7", f"--out={tmp_path / 'c'}"]) == 2
    assert "there is no checkpoint 7" in capsys.readouterr().err


def damage(source, step, file="ocdbt.process_0/d/"):
    """Flips a bit in the largest file of a folder, or in a file."""
    prefix = f"checkpoints/{step}/state/{file}"
    if source.startswith("gs://"):
        bucket = Bucket(source)
        contents = {name: bucket.read(name)[0] for name in bucket.names(prefix)}
        write = bucket.write
    else:
        home = Path(source, prefix)
        found = home.iterdir() if home.is_dir() else [home]
        contents = {path: path.read_bytes() for path in found}
        write = Path.write_bytes
    name = max(contents, key=lambda name: len(contents[name]))
    data = bytearray(contents[name])
    data[len(data) // 2] ^= 1
    write(name, bytes(data))


@pytest.mark.slow
def test_pruning_keeps_the_newest_some_at_intervals_and_the_best(source, capsys):
    save(source, range(1, 9), best=3)
    flags = ["--keep=2", "--keep-every-kimg=0.016"]  # one every 4 steps
    assert main(["checkpoint", "prune", source, *flags, "--dry-run"]) == 0
    told = capsys.readouterr().out.splitlines()
    kept = ["keep 1", "keep 3, best by fid5k_full", "keep 5", "keep 7", "keep 8"]
    assert told == [*kept, "would remove 2", "would remove 4", "would remove 6"]
    with run_directory.Run.open(source) as run:
        assert run.steps() == [*range(1, 9)]
    assert main(["checkpoint", "prune", source, *flags]) == 0
    assert capsys.readouterr().out.count("removed ") == 3
    with run_directory.Run.open(source) as run:
        assert run.steps() == [1, 3, 5, 7, 8]
        assert_equal(run.restore(abstract(state(0)))[1], state(8))


def test_a_run_that_is_being_trained_is_not_pruned(tmp_path, capsys):
    save(tmp_path / "run")
    with run_directory.Run.create_or_open(tmp_path / "run", SETTINGS):
        assert main(["checkpoint", "prune", str(tmp_path / "run"), "--keep=1"]) == 2
    assert "another process is training the run" in capsys.readouterr().err
    assert main(["checkpoint", "prune", str(tmp_path / "nowhere"), "--keep=1"]) == 2
    assert not (tmp_path / "nowhere").exists()


def test_pruning_needs_a_number_to_keep(capsys):
    assert main(["checkpoint", "prune", "run", "--keep=0"]) == 2
    assert "--keep=0 must be a whole number, 1 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_step_does_not_count_as_kept(source, capsys):
    save(source, best=1)
    damage(source, 3)
    for flags in (["--dry-run"], []):
        assert main(["checkpoint", "prune", source, "--keep=1", *flags]) == 0
        told = capsys.readouterr().out.splitlines()
        kept = ["keep 1, best by fid5k_full", "keep 2"]
        assert told == [*kept, "damaged 3, left as it is"]
    with run_directory.Run.open(source) as run:
        assert run.steps() == [1, 2, 3]
        assert_equal(run.restore(abstract(state(0)))[1], state(2))


@pytest.mark.parametrize("kind", ["file", "hidden", "link", "inside"])
def test_a_copy_takes_a_new_place_alone(kind, tmp_path, capsys):
    save(tmp_path / "run", [1])
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "hidden":
        (out / ".cache").mkdir(parents=True)
    elif kind == "link":
        out.symlink_to(tmp_path / "run")
    else:
        out = tmp_path / "run" / "checkpoints" / ".."
    before = {*tmp_path.rglob("*")}
    assert main(["checkpoint", "copy", str(tmp_path / "run"), f"--out={out}"]) == 2
    error = capsys.readouterr().err
    assert "is there already: name a new place" in error or "is a file" in error
    assert error.count("\n") == 1 and {*tmp_path.rglob("*")} == before


def test_a_copy_leaves_what_others_put_in_the_bucket(folder_url, tmp_path, monkeypatch):
    save(tmp_path / "run", [1])
    bucket = Bucket(folder_url)

    def fail(*_):
        bucket.write("mine", b"1")
        raise ValueError("on the way")

    monkeypatch.setattr(step_copy, "examine", fail)
    with pytest.raises(ValueError, match="on the way"):
        step_copy.copy(str(tmp_path / "run"), None, folder_url)
    assert bucket.names() == ["mine"]


def test_names_that_lead_elsewhere_are_refused(folder_url, tmp_path, capsys):
    save(folder_url, [1])
    bucket, out = Bucket(folder_url), tmp_path / "a" / "b" / "out"
    bucket.write("checkpoints/1/", b"")
    bucket.write("checkpoints/1/state/", b"")
    assert main(["checkpoint", "copy", folder_url, f"--out={out}"]) == 0
    bucket.write("checkpoints/1/state/../../../../evil.txt", b"1")
    assert main(["checkpoint", "copy", folder_url, f"--out={out}2"]) == 2
    assert "evil.txt is no name of a file: remove it" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "a").rglob("*evil*")] == []
