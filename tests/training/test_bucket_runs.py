"""A training in a bucket leaves what one in a folder leaves, whatever happens to it."""

import json
import time
from pathlib import Path

import buckets
import jax
import pytest
from processes import python_twice
from training import counting
from training.test_rescue import STEPS, train, weight

from afgan_jax.runs import bucket_lock, location, mirror, run_directory
from afgan_jax.runs.bucket import Bucket

pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)


def left_by(workdir) -> dict:
    """The names and what they hold, without times and what depends on the place."""
    run = run_directory.Run.open(workdir)
    if run.location.bucket is None:
        files = [
            p for p in run.path.rglob("*") if p.is_file() and "state" not in str(p)
        ]
        data = {str(p.relative_to(run.path)): p.read_bytes() for p in files}
    else:
        bucket = run.location.bucket
        names = [name for name in bucket.names() if "/state/" not in name]
        data = {name: bucket.read(name)[0] for name in names}
    stats = [json.loads(line) for line in data["stats.jsonl"].splitlines()]
    sums = f"checkpoints/{run.latest_step()}/checksums/metadata"
    return {
        "names": {n for n in data if "/" not in n and not n.startswith(".")},
        "losses": [{k: v for k, v in x.items() if k in ("nimg", "w")} for x in stats],
        "state": data[sums],
        "steps": run.steps(),
        "config": data["config.json"],
    }


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """go() moves to a machine that has nothing of the run."""

    def go():
        for count in range(100):
            if not (cache := tmp_path / f"machine {count}").exists():
                cache.mkdir()
                monkeypatch.setenv("AFGAN_CACHE", str(cache))
                return

    return go


def test_it_equals_a_local_one_also_when_another_machine_goes_on(
    folder_url, tmp_path, elsewhere
):
    options = {"checkpoint_ticks": 2}
    train(tmp_path / "calm", **options)
    train(folder_url, steps=6, **options)
    elsewhere()
    train(folder_url, steps=10, **options)
    elsewhere()
    trained = train(folder_url, **options)
    assert weight(trained) == counting.weight(STEPS)
    found, expected = left_by(folder_url), left_by(tmp_path / "calm")
    for part in ("names", "config", "losses", "state"):
        assert found[part] == expected[part], part
    assert found["steps"][-1] == STEPS
    assert Bucket(folder_url).names(bucket_lock.NAME) == []
    assert Bucket(folder_url).names("events/")


def test_a_machine_that_was_away_forgets_what_it_had(folder_url, elsewhere, tmp_path):
    train(folder_url, steps=4)
    scratch = location.scratch(Bucket(folder_url))
    (scratch / "stats.jsonl").write_text("stale\n")
    (scratch / "metric-x.jsonl").write_text("stale\n")
    train(folder_url, steps=6)
    assert len(left_by(folder_url)["losses"]) == 4
    assert Bucket(folder_url).names("metric") == []


def test_a_second_trainer_is_refused_wherever_it_runs(
    folder_url, elsewhere, monkeypatch
):
    monkeypatch.setattr(bucket_lock, "RENEWAL", 0.2)
    with run_directory.Run.create_or_open(folder_url, {"counting": {}}):
        with pytest.raises(ValueError, match=f"is training the run in {folder_url}"):
            run_directory.Run.create_or_open(folder_url, {"counting": {}})
        elsewhere()
        told = r"process \d+ on .* \(since .* UTC\) is training the run in"
        with pytest.raises(ValueError, match=told):
            run_directory.Run.create_or_open(folder_url, {"counting": {}})
    run_directory.Run.create_or_open(folder_url, {"counting": {}}).close()


def test_a_run_that_was_taken_over_ends_and_writes_no_more(folder_url, monkeypatch):
    monkeypatch.setattr(bucket_lock, "RENEWAL", 0.05)
    bucket = Bucket(folder_url)
    there = {}

    def batches(start):
        for step, batch in enumerate(counting.batches(start), start):
            if step == 6 and not there:
                holder = {"pid": 7, "host": "far", "since": 0, "renewed": 2e9}
                bucket.write(bucket_lock.NAME, json.dumps(holder).encode())
                there["stats"] = bucket.read("stats.jsonl")[0]
            yield batch

    slow = counting.program(jax.devices()[:1], rounds=3000)
    told = "process 7 on far .* has taken over the run"
    with pytest.raises(Exception, match=told):
        train(folder_url, steps=400, batches=batches, program=slow)
    assert bucket.names(bucket_lock.NAME) and bucket.read("stats.jsonl")[0]
    assert run_directory.Run.open(folder_url).steps() in ([], [1])
    assert bucket.names("checkpoints/") == bucket.names("checkpoints/1/")


def test_a_run_of_another_config_or_of_other_files_is_left_alone(folder_url):
    bucket = Bucket(folder_url)
    bucket.write("thesis.tex", b"x")
    with pytest.raises(ValueError, match=f"{folder_url} is not a run"):
        run_directory.Run.create_or_open(folder_url, {"a": {"b": 1}})
    bucket.remove(["thesis.tex"])
    train(folder_url, steps=2)
    with pytest.raises(ValueError, match=f"{folder_url} is a run of another config"):
        run_directory.Run.create_or_open(folder_url, {"counting": {"b": 1}})
    with pytest.raises(ValueError, match=f"there is no run in {folder_url}/x: no such"):
        run_directory.Run.open(f"{folder_url}/x")


def test_readers_see_a_run_that_is_trained_and_add_to_it(folder_url, tmp_path):
    config = {"counting": {}}
    with run_directory.Run.create_or_open(folder_url, config) as trained:
        with run_directory.Run.open(folder_url) as reader:
            assert reader.config == config and reader.steps() == []
            reader.append_metric("fid", {"fid": 1.0}, step=1, seconds=1)
        trained.append_metric("fid", {"fid": 2.0}, step=2, seconds=1)
        (trained.path / "plan.json").write_text("{}")
        assert not (reader.path / "plan.json").exists()
    lines = Bucket(folder_url).read("metric-fid.jsonl")[0].splitlines()
    assert {json.loads(line)["results"]["fid"] for line in lines} == {1.0, 2.0}


def test_an_outage_is_told_and_nothing_is_lost(
    gcs, folder_url, monkeypatch, caplog, tmp_path
):
    monkeypatch.setattr("afgan_jax.runs.bucket.TIMEOUT", 0.2)
    monkeypatch.setattr(mirror, "PAUSE", 0.2)

    def batches(start):
        for step, batch in enumerate(counting.batches(start), start):
            if step == 5:
                gcs.fail(down=True)
            if step == 9:
                end = time.monotonic() + 30
                while not caplog.text and time.monotonic() < end:
                    time.sleep(0.05)
                gcs.fail()
            yield batch

    train(folder_url, batches=batches)
    train(tmp_path / "calm")
    assert left_by(folder_url)["losses"] == left_by(tmp_path / "calm")["losses"]
    assert "files cannot be uploaded, trying on" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["busy", "dropped"])
def test_a_bad_network_changes_nothing(gcs, folder_url, tmp_path, fault):
    train(tmp_path / "calm", checkpoint_ticks=3)
    with gcs.failing(**{fault: 0.03}):
        train(folder_url, steps=6, checkpoint_ticks=3)
        train(folder_url, checkpoint_ticks=3)
    found, expected = left_by(folder_url), left_by(tmp_path / "calm")
    assert found["losses"] == expected["losses"] and found["state"] == expected["state"]


CODE = """
import sys, os
folder, index, address = sys.argv[1:]
os.environ["AFGAN_CACHE"] = folder
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
from pathlib import Path
from training import counting, test_preemption
from afgan_jax.runs import run_directory
from afgan_jax.training import peers
url = (Path(folder) / "url").read_text()
with peers.joined(address, 2, int(index)):
    state = test_preemption.train(url, 8, devices=None)
    state = test_preemption.train(url, 12, devices=None)
    print("STEPS", run_directory.Run.open(url).steps())
print("WEIGHT", state.G["params"]["w"])
"""


@pytest.mark.slow
def test_two_processes_train_a_run_in_a_bucket(folder_url, tmp_path):
    (tmp_path / "url").write_text(folder_url)
    outs = python_twice(CODE, tmp_path, devices=1)
    assert all(f"WEIGHT {counting.weight(12)}" in out for out in outs), outs
    assert all("12]" in out for out in outs), outs
    (scratch,) = (Path(tmp_path) / "runs").iterdir()
    assert (scratch / "config.json").exists() and left_by(folder_url)["losses"]
