"""What a supervisor reads of a training."""

import json
import os
import socket
import time

from training import counting
from training.test_preemption import signalled, train

from afgan_jax.training import status


def test_a_status_follows_the_training(tmp_path):
    file = tmp_path / "status.json"
    seen = []

    def batches(start):
        for step, batch in enumerate(counting.batches(start), start):
            if step > 4:
                seen.append(json.loads(file.read_text()))
            yield batch

    def options():
        return {"status": status.Status(file), "tick_kimg": 4 * counting.BATCH / 1000}

    train(tmp_path / "run", 12, batches, options())
    assert [s["state"] for s in seen[:1] + seen[-1:]] == ["training", "training"]
    assert seen[0]["checkpoint"] in (None, 1) and seen[-1]["nimg"] > seen[0]["nimg"]
    last = json.loads(file.read_text())
    assert abs(last.pop("updated") - time.time()) < 60
    assert last == {
        "process": 0,
        "processes": 1,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "state": "finished",
        "checkpoint": 12,
        "nimg": 12 * counting.BATCH,
    }
    train(tmp_path / "run", 40, signalled(14, 15), options())
    last = json.loads(file.read_text())
    assert (last["state"], last["checkpoint"]) == ("stopped", 15)


def test_a_status_that_cannot_be_written_ends_nothing(tmp_path, capsys):
    (tmp_path / "file").touch()
    options = {"status": status.Status(tmp_path / "file" / "status.json")}
    assert int(train(tmp_path / "run", 4, options=options).step) == 4
    assert capsys.readouterr().err.count("no status: ") == 1


def test_nothing_is_written_unasked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status.NOWHERE.write("starting")
    assert list(tmp_path.iterdir()) == []
