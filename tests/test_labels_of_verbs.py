"""Where verbs have the classes of a conditional generator's images from."""

import dataclasses
import json
import types

import numpy as np
import pytest
import tiny

from afgan_jax import __main__
from afgan_jax import model as models
from afgan_jax.assembly import model_sets
from afgan_jax.cli import sources
from afgan_jax.data import archive
from afgan_jax.runs import location

IMAGES = np.random.RandomState(0).randint(0, 256, (6, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Folder of sets of 2 classes, own and even, of 3, other, and of none, bare."""
    folder = tmp_path_factory.mktemp("sets")
    classes = {"own": [0, 0, 0, 1, 0, 0], "other": [0, 1, 2] * 2, "bare": None}
    classes |= {"even": [0, 1] * 3}
    for name, rows in classes.items():
        archive.write_archive(folder / f"{name}.zip", IMAGES, rows)
    return folder


@pytest.fixture
def chosen(sets, monkeypatch):
    def choose(class_=None, label=None, *, c_dim=2, path="own.zip", data=None):
        settings = {"path": str(sets / path), "mirror": True, "use_labels": True}
        place, config = location.Location(sets / "run"), {"data": settings}
        run = types.SimpleNamespace(path=place.folder, location=place, config=config)
        monkeypatch.setattr(model_sets, "run_of", lambda model: (run, 3))
        sizes = {"resolution": 16, "num_layers": 4, "c_dim": c_dim}
        model = models.untrained(tiny.sections(**sizes), has_weights=False)
        model = dataclasses.replace(model, class_names=("cat", "dog"))
        data = None if data is None else str(sets / data)
        return sources.labels(model, class_, label, data).tolist()

    return choose


def test_classes_are_named_or_come_from_a_set(sets, chosen):
    second = [0, 1]
    assert chosen() == [0, 0, 0, 1, 0, 0]
    assert chosen(path="gone.zip", data="own.zip") == chosen()
    assert chosen("1", path="gone.zip") == [second]
    assert chosen("dog", path="gone.zip") == [second]
    assert chosen(label=[0.5, 2], path="gone.zip") == [[0.5, 2]]
    assert chosen(c_dim=0, path="gone.zip") == [[]]
    assert [model_sets.has_labels(f"{sets}/{n}.zip") for n in ("own", "bare")] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    "arguments, where, message",
    [
        (
            [],
            {"path": "gone.zip"},
            "as in the set .*gone.zip, but: .*; pass --data",
        ),
        ([], {"data": "bare.zip"}, "bare.zip, but: .*holds no labels.*--class=N"),
        (
            [],
            {"data": "other.zip"},
            "are 3 numbers, the generator takes 2; pass",
        ),
        (["2"], {}, "class_='2' must be one of .*cat, dog"),
        (["1"], {"c_dim": 0}, "class_='1' is for generators with labels"),
    ],
)
def test_labels_that_are_not_there_are_asked_for(chosen, arguments, where, message):
    with pytest.raises(ValueError, match=message):
        chosen(*arguments, **where)


@pytest.fixture(scope="module")
def stranded(tmp_path_factory):
    """A run of 2 classes whose set is gone."""
    folder = tmp_path_factory.mktemp("stranded")
    return tiny.save_run(
        folder / "run", folder / "gone.zip", resolution=16, num_layers=4
    )


@pytest.mark.parametrize(
    "verb",
    [
        ["analyze", "equivariance"],
        ["metrics", "--metrics=eqt8_int"],
        ["analyze", "layer-equivariance"],
        ["analyze", "sticking"],
        ["spectra", "stats", "--samples=2"],
    ],
    ids=lambda verb: " ".join(verb[:2]),
)
def test_a_set_that_is_gone_is_one_line(stranded, verb, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert __main__.main([*verb, f"--run={stranded}"]) == 2
    error = capsys.readouterr().err
    assert "gone.zip, but: " in error and error.count("\n") == 1
    assert "--class=N or --label=NUMBERS" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_equivariance_of_a_class_is_measured_and_shown(stranded, sets, tmp_path):
    found = {}
    mixed = f"--data={sets / 'even.zip'}"  # 4 of them are hardly of one class
    for name, flag in (("a", "--class=0"), ("b", "--class=1"), ("c", mixed)):
        flags = [flag, "--samples=4", "--frames=2", f"--outdir={tmp_path / name}"]
        assert (
            __main__.main(["analyze", "equivariance", f"--run={stranded}", *flags]) == 0
        )
        found[name] = json.loads((tmp_path / name / "equivariance.json").read_text())
    a, b, c = (report["filters on"]["eqt_frac"] for report in found.values())
    assert min(a, b, c) > 25  # untrained, measured 57
    assert min(abs(a - b), abs(b - c), abs(c - a)) > 0.1
    images = [(tmp_path / n / "equivariance.png").read_bytes() for n in "ab"]
    assert images[0] != images[1]
