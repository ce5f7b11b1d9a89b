"""What a run says and keeps of the image sets that it is resumed with."""

import functools
import json
import shutil

import numpy as np
from training import counting, smoke
from training.test_conditional import CLASSES, USED, labelled

from afgan_jax.assembly import model_sets
from afgan_jax.runs import run_directory, set_records
from afgan_jax.training import loop


def test_another_set_is_told_once_and_recorded(monkeypatch, tmp_path, capsys, caplog):
    steps = iter(range(5, 100))

    @functools.wraps(loop.train)
    def begun(run, *_, **__):
        run.save(next(steps), {"x": np.zeros(1)})
        return counting.Untrained

    def warnings(path):
        smoke.train(tmp_path / "run", smoke.settings(path, 0.016, **USED))
        lines = capsys.readouterr().err.splitlines()
        return [line for line in lines if line.startswith("WARNING")]

    monkeypatch.setattr(loop, "train", begun)
    first = labelled(tmp_path / "first.zip", CLASSES.tolist())
    assert warnings(first) == []
    moved = shutil.copy(first, tmp_path / "moved.zip")
    assert warnings(moved) == []
    second = labelled(tmp_path / "second.zip", CLASSES[::-1].tolist())
    text = "is not the set that this run was trained on before: other labels; training"
    (said,) = warnings(second)
    assert f"{second} {text} continues on it" in said
    assert warnings(second) == []
    caplog.clear()
    with run_directory.Run.open(tmp_path / "run") as run:
        assert model_sets.open_set(run).labels.dim == 3 and caplog.messages == []
        model_sets.open_set(run, path=first)
    (said,) = caplog.messages
    assert said == f"{first} is not the set trained on: other labels"
    content = (tmp_path / "run" / set_records.NAME).read_text()
    assert [record["step"] for record in json.loads(content)["sets"]] == [0, 6]
