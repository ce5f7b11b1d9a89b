"""Labels out of CSVs, as programs write them."""

import pytest
from etils import epath

from afgan_jax.data import label_csv

NUMBERS = ("0", "1")
FILES = ("0.png", "1.png", "sub/2.png")


def read(tmp_path, content, images=NUMBERS):
    """(labels as written, class names)."""
    path = tmp_path / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = label_csv.read(epath.Path(path), images).of(images, fix="")
    return found.values.tolist(), found.class_names


@pytest.mark.parametrize(
    ("text", "values", "names"),
    [
        ("0,7\n1,2\n", [7, 2], None),
        ("file,class\n1,2\n0,7\n", [7, 2], None),
        ("0,cat\n1,bird\n", [1, 0], ("bird", "cat")),
        ("0,2\n1,bird\n", [0, 1], ("2", "bird")),
        ("0,1_0\n1,1_1\n", [0, 1], ("1_0", "1_1")),
        ("0,0.5,1\n1,-1,2e3\n", [[0.5, 1.0], [-1.0, 2000.0]], None),
        ("0,0.5\n1,2\n", [[0.5], [2.0]], None),
        ('"0","a, b"\r\n"1","c"\r\n\r\n', [0, 1], ("a, b", "c")),
    ],
)
def test_a_csv_holds_numbers_names_or_vectors(tmp_path, text, values, names):
    assert read(tmp_path, text) == (values, names)


CLASSES = "0.png,cat\n1.png,dog\nsub/2.png,cat\n"
WRITTEN = {
    "plain": CLASSES,
    "with a heading": "file,class\n" + CLASSES,
    "by Excel": "\ufeff" + CLASSES.replace("\n", "\r\n"),
    "by Excel, with a heading": "\ufefffile;class\r\n" + CLASSES.replace(",", ";"),
    "by Excel, as Unicode": CLASSES.replace(",", "\t").encode("utf-16"),
    "for Excel": "sep=;\n" + CLASSES.replace(",", ";"),
    "by an old Mac": CLASSES.replace("\n", "\r"),
    "with bars": CLASSES.replace(",", "|"),
    "with spaces": CLASSES.replace(",", " , "),
    "with spaces alone": CLASSES.replace(",", "  "),
    "with a title": "Table 1\n\nfile,class\n" + CLASSES,
    "with empty columns": CLASSES.replace("\n", ",,\n") + ",,,\n",
    "in quotes": '"' + CLASSES.replace(",", '", "').replace("\n", '"\n"')[:-1],
    "on Windows": CLASSES.replace("/", "\\"),
    "below here": "./" + CLASSES.replace("\n", "\n./")[:-2],
    "by pandas": ",file,class\n0,0.png,cat\n1,1.png,dog\n2,sub/2.png,cat\n",
    "by pandas, shuffled": ",file,class\n7,1.png,dog\n2,sub/2.png,cat\n0,0.png,cat\n",
    "with one image twice": CLASSES + "0.png,cat\n",
    "with other images": "gone.png,dog\n" + CLASSES + "lost.png,cat\n",
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_classes_are_read_however_they_are_written(tmp_path, content):
    assert read(tmp_path, content, FILES) == ([0, 1, 0], ("cat", "dog"))


NUMBERED = {
    "by pandas, where some are missing": "0.png,1.0\n1.png,0.0\nsub/2.png,2.0\n",
    "with spaces": "0.png, 1\n1.png, 0\nsub/2.png, 2\n",
}


@pytest.mark.parametrize("content", NUMBERED.values(), ids=NUMBERED)
def test_class_numbers_are_read_however_they_are_written(tmp_path, content):
    assert read(tmp_path, content, FILES) == ([1, 0, 2], None)


def test_decimal_commas_are_read_where_they_do_not_separate(tmp_path):
    found = read(tmp_path, "0;0,5;1\n1;-1,25;2\n")
    assert found == ([[0.5, 1.0], [-1.25, 2.0]], None)


def test_attributes_are_read_as_they_are_published_of_faces(tmp_path):
    text = "2\nBald Young Smiling\n0.png -1  1 -1\n1.png  1 -1 -1\n"
    found = read(tmp_path, text, FILES[:2])
    assert found == ([[-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]], None)


MALFORMED = "must have a file name and equally many labels in every row"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", MALFORMED),
        ("0\n1\n", MALFORMED),
        ("0,1\n1,2,3\n", f"{MALFORMED}, unlike line 2"),
        ("file,class\n0,1\n1,\n", f"{MALFORMED}, unlike line 3"),
        ("0,1,a\n1,2,3\n", "must have numbers in vectors"),
        ("0,1\n1,nan\n", "lacks a label in line 2"),
        ("0,1\n1,-1\n", "has class -1: number the classes from 0"),
        (
            "0,1\n1,5\n\n0,2\n",
            "two labels of '0': 1 in line 1, 2 in line 4: ",
        ),
        (
            "0,cat\n0,dog\n",
            "labels of '0': 'cat' in line 1, 'dog' in line 2",
        ),
        (
            "/data/0.png,7\n",
            "has names such as '/data/0.png', and none .* as '0' is",
        ),
        ("a,0,1\na,1,1\n", "cells before file names that are no index: remove them"),
        ("caf\xe9".encode("latin-1"), "is no CSV in UTF-8 or UTF-16"),
    ],
)
def test_malformed_csvs_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=f"labels.csv.*{message}"):
        read(tmp_path, text)


def test_a_missing_csv_is_named(tmp_path):
    with pytest.raises(ValueError, match="labels=.*none.csv.* is no CSV"):
        label_csv.read(epath.Path(tmp_path / "none.csv"), FILES)
