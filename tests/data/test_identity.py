"""What is noticed of another image set in the place of one."""

import json
import shutil
import zipfile

import pytest
from data.images import encoded, folder, noise, numbered

from afgan_jax.data import archive, identity

CLASSES = [0, 3, 0]


def labelled(path, classes=CLASSES, **more):
    source = numbered(path, 3)
    rows = [[f"{i}.png", label] for i, label in enumerate(classes)]
    (source / "dataset.json").write_text(json.dumps({"labels": rows} | more))
    return source


def facts(path, **options):
    found = archive.Archive.open(path, use_labels=True, mirror=True, **options)
    return json.loads(json.dumps(identity.of_archive(found)))


def zipped(source, path):
    with zipfile.ZipFile(path, "w") as target:
        for file in sorted(source.iterdir()):
            target.write(file, file.name)
    return path


def renamed(path):
    (path / "0.png").rename(path / "00.png")
    (path / "dataset.json").write_text(
        (path / "dataset.json").read_text().replace("0.png", "00.png")
    )


def test_a_set_that_moved_is_the_same(tmp_path):
    first = facts(labelled(tmp_path / "a"))
    assert first["images"] == 3 and first["empty_classes"] == [1, 2]
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    packed = facts(zipped(tmp_path / "a", tmp_path / "a.zip"))
    for other in (facts(tmp_path / "b"), packed):
        assert identity.differences(first, other) == []
        assert identity.differences(other, first) == []


CHANGES = {
    "2 images instead of 3": lambda path: (path / "1.png").unlink(),
    "other images": lambda path: folder(path, {"1.png": encoded(noise(seed=9))}),
    "other file names": renamed,
    "other labels": lambda path: labelled(path, [0, 3, 3]),
    "named": lambda path: labelled(path, class_names=list("abcd")),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_another_set_is_told_by_what_differs(tmp_path, kind, change):
    def found(name):
        path = tmp_path / "a"
        return facts(zipped(path, tmp_path / name) if kind == "zip" else path)

    labelled(tmp_path / "a")
    first = found("first.zip")
    CHANGES[change](tmp_path / "a")
    expected = "other labels" if change == "named" else change
    assert identity.differences(first, found("second.zip")) == [expected]


def test_images_that_are_not_sampled_show_by_their_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "SAMPLED", 2)  # the first and the last
    first = facts(labelled(tmp_path / "a"))
    content = (tmp_path / "a/1.png").read_bytes() + b"more"
    (tmp_path / "a/1.png").write_bytes(content)
    assert identity.differences(first, facts(tmp_path / "a")) == ["other images"]


def test_facts_that_an_older_record_lacks_are_not_compared(tmp_path):
    found = facts(labelled(tmp_path / "a"))
    assert identity.differences({"images": 3}, found) == []
    assert identity.differences({}, found) == []
