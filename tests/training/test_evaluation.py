"""Metrics during training: at checkpoints but the first, and never its end."""

import json

import pytest
from training import smoke
from training.smoke import checkpoint, settings

from afgan_jax import json_files
from afgan_jax.metrics import evaluation, registry


def ready(metric, subject):
    """Everything can be measured."""


def fail(metric, subject):
    raise RuntimeError("the device\nis gone")


@pytest.fixture
def broken(monkeypatch):
    row = registry.Row("broken8", f"broken{registry.N}", None, True, 1, ready, fail)
    monkeypatch.setattr(registry, "METRICS", (*registry.METRICS, row))


@pytest.mark.slow
def test_metrics_are_written_down_and_their_faults_told(
    images, tmp_path, broken, capsys
):
    """Also: what is measured may change when a run goes on, and changes no weights."""
    chosen = {"metrics.names": "broken8, eqt8_int", "metrics.batch": 4}
    chosen["train.checkpoint_ticks"] = 1
    smoke.train(tmp_path / "run", settings(images, 0.032, **chosen))
    said = capsys.readouterr().err
    fault = (
        "metric broken8 failed, training continues: RuntimeError: the device is gone"
    )
    assert said.count(fault) == 1  # the first tick ends at 8 images, and is left out
    chosen["metrics.names"] = "eqt8_int"
    smoke.train(tmp_path / "run", settings(images, 0.064, **chosen))
    assert "broken8" not in capsys.readouterr().err.replace("'broken8, eqt8_int'", "")

    lines = (tmp_path / "run" / "metric-eqt8_int.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    values = [json.loads(line)["results"]["eqt8_int"] for line in lines]
    assert steps == [4, 8]
    best = json_files.parse(
        (tmp_path / "run" / "checkpoints" / "best.json").read_bytes(), "best.json"
    )
    assert best == {
        "eqt8_int": {"step": steps[values.index(max(values))], "value": max(values)}
    }
    smoke.train(tmp_path / "unwatched", settings(images, 0.064))
    watched, unwatched = (
        checkpoint(tmp_path / "run"),
        checkpoint(tmp_path / "unwatched"),
    )
    for name, array in watched.items():
        assert array.tobytes() == unwatched[name].tobytes(), name


@pytest.mark.parametrize(
    "chosen, message",
    [
        ({"names": ("fid",)}, "metrics=.fid. is unknown"),
        ({"names": "eqr8,fid8"}, "metrics --prepare"),
        ({"batch": 0}, "metrics.batch=0 must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_the_start(
    chosen, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        evaluation.parse(**chosen)


def test_no_metric_is_measured_unless_asked_for():
    assert evaluation.parse() == []
