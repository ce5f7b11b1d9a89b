"""Metrics between the steps of a toy training: the best, faults and early ends."""

import json
import os
import signal

import jax
import pytest
from training import counting

from afgan_jax import json_files
from afgan_jax.metrics import evaluation, registry
from afgan_jax.runs import retention, run_directory
from afgan_jax.training import loop

EVERY = 5  # steps, from one checkpoint to the next


def train(folder, steps: int, evaluate):
    """Trains to a step with metrics at every checkpoint, of which one stays."""
    keep = retention.Retention(1)
    with run_directory.Run.create_or_open(
        folder, {"counting": {}}, retention=keep
    ) as run:
        state = loop.train(
            run,
            counting.program(devices=jax.devices()[:1]),
            counting.batches,
            counting.NoSamples(),
            evaluate,
            batch_size=counting.BATCH,
            total_kimg=steps * counting.BATCH / 1000,
            tick_kimg=EVERY * counting.BATCH / 1000,
            checkpoint_ticks=1,
        )
    assert int(state.step) == steps or evaluate.stopped
    return state


class Evaluate:
    """fid8 is `values` in turn, one each time; kid8 is 0, if it comes to that.

    `during` is called in the middle of the metrics of the second checkpoint.
    """

    def __init__(self, *values, during=lambda: None, fault=None):
        self.values, self.during, self.fault = list(values), during, fault
        self.calls, self.stopped = 0, False

    def __call__(self, G_ema):
        self.calls += 1
        value = self.values.pop(0)
        fault = self.fault if self.calls == 2 else None
        yield self.result("fid8", {} if fault else {"fid8": value}, fault)
        if self.calls == 2:
            self.during()
        yield self.result("kid8", {"kid8": 0.0}, None)

    def result(self, name, values, fault):
        return evaluation.Result(registry.parse(name), values, 0.1, fault)


def lines(folder, name) -> dict:
    """{step: value} of metric-NAME.jsonl."""
    text = (folder / f"metric-{name}.jsonl").read_text()
    found = map(json.loads, text.splitlines())
    return {line["step"]: line["results"][name] for line in found}


def best(folder, name) -> int:
    record = json_files.parse(
        (folder / "checkpoints" / "best.json").read_bytes(), "best.json"
    )
    return record[name]["step"]


def steps_of(folder) -> list[int]:
    with run_directory.Run.open(folder) as run:
        return run.checkpoints.steps()


def test_the_best_by_each_metric_is_remembered_and_stays(tmp_path):
    train(tmp_path, 20, Evaluate(3.0, 1.0, 2.0, 5.0))
    assert lines(tmp_path, "fid8") == {5: 3, 10: 1, 15: 2, 20: 5}
    assert (best(tmp_path, "fid8"), best(tmp_path, "kid8")) == (10, 5)
    assert steps_of(tmp_path) == [5, 10, 20]
    train(tmp_path, 35, Evaluate(4.0, 0.5, 0.7))
    assert best(tmp_path, "fid8") == 30 and steps_of(tmp_path) == [5, 30, 35]


def test_a_fault_costs_a_value_and_no_training(tmp_path, capsys):
    train(tmp_path, 15, Evaluate(3.0, 1.0, 2.0, fault="OSError: gone"))
    said = capsys.readouterr().err
    assert said.count("metric fid8 failed, training continues: OSError: gone") == 1
    assert lines(tmp_path, "fid8") == {5: 3, 15: 2} and best(tmp_path, "fid8") == 15
    assert set(lines(tmp_path, "kid8")) == {5, 10, 15}


def test_values_that_are_not_finite_are_never_the_best(tmp_path):
    train(tmp_path, 15, Evaluate(3.0, float("nan"), float("-inf")))
    assert lines(tmp_path, "fid8") == {5: 3, 10: None, 15: None}
    assert best(tmp_path, "fid8") == 5


def kill():
    raise KeyboardInterrupt


def test_a_run_that_ends_within_a_metric_goes_on_from_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, 20, Evaluate(3.0, 1.0, during=kill))
    assert steps_of(tmp_path) == [5, 10] and best(tmp_path, "fid8") == 10
    state = train(tmp_path, 20, Evaluate(2.0, 5.0))
    assert float(state.G["params"]["w"]) == counting.weight(20)
    assert lines(tmp_path, "fid8") == {5: 3, 10: 1, 15: 2, 20: 5}
    assert set(lines(tmp_path, "kid8")) == {5, 15, 20}
    assert steps_of(tmp_path) == [5, 10, 20]


def test_asked_to_stop_it_finishes_the_metric_and_leaves_out_the_others(tmp_path):
    evaluate = Evaluate(3.0, 1.0, during=lambda: os.kill(os.getpid(), signal.SIGTERM))
    evaluate.stopped = True
    state = train(tmp_path, 20, evaluate)
    assert int(state.step) == 10 and evaluate.calls == 2
    assert set(lines(tmp_path, "kid8")) == {5, 10}  # was being measured
    state = train(tmp_path, 20, Evaluate(2.0, 5.0))
    assert float(state.G["params"]["w"]) == counting.weight(20)
