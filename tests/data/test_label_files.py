"""Labels are found where they lie, and told where they are not used."""

import json
import shutil

import pytest
from data.conversions import made, read
from data.images import encoded, folder, noise, numbered
from etils import epath

from afgan_jax.data import (
    advice,
    archive,
    files,
    inspect,
    label_files,
    labels,
    left_out,
)

CLASSES = [["0.png", 1], ["./1.png", 0], ["2.png", 1]]


def labelled(path, table=CLASSES):
    numbered(path, 3)
    (path / "dataset.json").write_text(json.dumps({"labels": table}))
    return path


def opened(path):
    return files.Files(epath.Path(path))


@pytest.mark.parametrize("below", ["photos", "a/b"])
@pytest.mark.parametrize("zipped", [False, True])
def test_labels_below_a_folder_around_them_are_those_of_its_images(
    tmp_path, below, zipped
):
    labelled(tmp_path / "top" / below)
    folder(tmp_path / "top", {"__MACOSX/photos/._dataset.json": b"x"})
    path = tmp_path / "top"
    if zipped:
        path = shutil.make_archive(tmp_path / "photos", "zip", path)
    made(path, tmp_path / "out.zip")
    for found in (path, tmp_path / "out.zip"):
        values = read(found, use_labels=True)[1]
        assert values.argmax(axis=-1).tolist() == [1, 0, 1]


def test_labels_at_the_top_are_taken_before_those_below(tmp_path):
    labelled(tmp_path)
    folder(tmp_path, {"old/dataset.json": b"not even JSON"})
    assert label_files.find(opened(tmp_path)) == "dataset.json"
    assert len(labels.read_table(opened(tmp_path)).rows) == 3
    said = left_out.of_set(opened(tmp_path), opened(tmp_path).images)
    assert said == ["files that may hold labels: old/dataset.json"]


def test_several_tables_below_are_refused_until_labels_are_not_wanted(tmp_path):
    for name in ("train", "val"):
        labelled(tmp_path / "in" / name)
    message = "in has no dataset.json at its top and 2 below, first train/dataset.json"
    with pytest.raises(ValueError, match=message):
        made(tmp_path / "in", tmp_path / "out")
    with pytest.raises(ValueError, match=message):
        archive.Archive.open(tmp_path / "in", use_labels=True)
    assert message.split(" ", 1)[1] in inspect.inspect(tmp_path / "in").label_fault
    assert made(tmp_path / "in", tmp_path / "out", label_source="none").converted == 6


def test_labels_of_a_part_are_no_labels(tmp_path):
    labelled(numbered(tmp_path / "in", 2) / "part")
    with pytest.raises(ValueError, match="part/dataset.json lacks .* 2 of 5 images"):
        made(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (("b/0", "a/1", "b/x/2"), "bab"),
        (("top/b/0", "top/a/1", "top/b/x/2"), "bab"),
        (("x/y/b/0", "x/y/a/1"), "ba"),
        (("a/0", "a/1"), "aa"),  # a folder of images is a class, not around classes
        (("a/b/0", "a/b/1"), "bb"),
        (("a/0", "1"), "a"),
        (("a/0", "a/b/1"), "b"),
        (("0", "1"), ""),
    ],
)
def test_classes_are_the_first_folders_that_differ(names, folders):
    assert "".join(label_files.class_folders(names).values()) == folders


def test_the_first_images_have_the_classes_they_have_among_all(tmp_path):
    files = {f"{name}/0.png": encoded(noise()) for name in ("a/x", "a/y", "b/z")}
    source = folder(tmp_path / "in", files)
    made(source, tmp_path / "out", label_source="folders", max_images=2)
    table = json.loads((tmp_path / "out/dataset.json").read_text())
    assert table["class_names"] == ["a"]


@pytest.mark.parametrize(
    "name",
    [
        "labels.csv",
        "a/meta.json",
        "x.tsv",
        "list_attr_celeba.txt",
        "identity_CelebA.txt",
    ],
)
def test_whatever_looks_like_labels_is_told(tmp_path, name):
    source = numbered(folder(tmp_path / "in", {name: b"", "notes.txt": b""}), 2)
    line = f"files that may hold labels: {name}"
    assert left_out.of_set(opened(source), opened(source).images) == [line]
    assert inspect.inspect(source).left_out == (line,)
    assert made(source, tmp_path / "auto").left_out == (line,)
    assert made(source, tmp_path / "none", label_source="none").left_out == ()


def test_a_table_that_is_used_is_not_told(tmp_path):
    source = numbered(tmp_path / "in", 2)
    (source / "labels.csv").write_text("0.png,1\n1.png,0\n")
    report = made(source, tmp_path / "a", label_source=str(source / "labels.csv"))
    assert report.left_out == ()


def test_folders_that_could_be_classes_are_told(tmp_path):
    source = numbered(tmp_path / "in", 2, names="{}/a.png")
    lines = advice.describe(inspect.inspect(source))
    assert "  its folders could be classes: dataset convert --labels=folders" in lines
    made(source, tmp_path / "out")
    for other in (tmp_path / "out", numbered(tmp_path / "one", 2, names="a/{}.png")):
        assert not inspect.inspect(other).could_be_classes
