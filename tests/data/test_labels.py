"""Labels out of folders, CSVs and dataset.json."""

import numpy as np
import pytest

from afgan_jax.data import labels

IMAGES = ("b/0.png", "a/1.png", "b/x/2.png")


def table(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    return labels.read_csv(labels.epath.Path(tmp_path / "labels.csv"), ("0", "1"))


def test_folders_are_classes_in_sorted_order():
    found = labels.from_folders(IMAGES, "here")
    assert found.of(IMAGES, fix="") == [1, 0, 1]
    assert found.class_names == ("a", "b")


def test_an_image_in_no_folder_has_no_class():
    found = labels.from_folders((*IMAGES, "3.png"), "here")
    with pytest.raises(ValueError, match="lacks the labels of 1 of 1 images, first 3"):
        found.of(("3.png",), fix="")


@pytest.mark.parametrize(
    ("text", "values", "names"),
    [
        ("0,7\n1,2\n", [7, 2], None),
        ("file,class\n1,2\n0,7\n", [7, 2], None),
        ("0,cat\n1,bird\n", [1, 0], ("bird", "cat")),
        ("0,2\n1,bird\n", [0, 1], ("2", "bird")),
        ("0,0.5,1\n1,-1,2e3\n", [[0.5, 1.0], [-1.0, 2000.0]], None),
        ("0,0.5\n1,2\n", [[0.5], [2.0]], None),
        ('"0","a, b"\r\n"1","c"\r\n\r\n', [0, 1], ("a, b", "c")),
    ],
)
def test_a_csv_holds_numbers_names_or_vectors(tmp_path, text, values, names):
    found = table(tmp_path, text)
    assert found.of(("0", "1"), fix="") == values and found.class_names == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a file name and equally many labels"),
        ("0\n1\n", "must have a file name and equally many labels"),
        ("0,1\n1,2,3\n", "must have a file name and equally many labels"),
        ("0,1,a\n1,2,3\n", "must have numbers in vectors"),
    ],
)
def test_malformed_csvs_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=f"labels=.*labels.csv.*{message}"):
        table(tmp_path, text)


def test_a_missing_csv_is_named(tmp_path):
    with pytest.raises(ValueError, match="labels=.*none.csv.* is no CSV"):
        labels.read_csv(labels.epath.Path(tmp_path / "none.csv"), IMAGES)


ONE_HOT = np.eye(3, dtype=np.float32)[[0, 2, 2, 0, 0]]


@pytest.mark.parametrize(
    ("rows", "names", "text"),
    [
        (ONE_HOT, None, "3 classes; images of each: 0: 3, 1: 0, 2: 2"),
        (ONE_HOT, ("a", "b"), "3 classes; images of each: 0 (a): 3, 1 (b): 0, 2: 2"),
        (
            np.float32([[1, 1], [0, 1], [0, 0]]),
            None,
            "any of 2 classes; images of each: 0: 1, 1: 2",
        ),
        (
            np.float32([[0.5, 4], [-1.5, 4]]),
            None,
            "vectors of 2; mean of each number (least to largest):"
            " 0: -0.5 (-1.5 to 0.5), 1: 4 (4 to 4)",
        ),
    ],
)
def test_labels_are_told_by_what_they_are(rows, names, text):
    assert labels.describe(rows, names) == f"labels: {text}"


def test_only_so_many_classes_are_told_one_by_one():
    line = labels.describe(np.eye(23, dtype=np.float32))
    assert line.endswith("19: 1, and 3 more")
