"""Labels out of folders, CSVs and dataset.json."""

import tracemalloc

import numpy as np
import pytest

from afgan_jax.data import labels

IMAGES = ("b/0.png", "a/1.png", "b/x/2.png")


def test_folders_are_classes_in_sorted_order():
    found = labels.from_folders(IMAGES, "here")
    assert found.of(IMAGES, fix="").values.tolist() == [1, 0, 1]
    assert found.class_names == ("a", "b")


def test_an_image_in_no_folder_has_no_class():
    found = labels.from_folders((*IMAGES, "3.png"), "here")
    with pytest.raises(ValueError, match="lacks the labels of 1 of 1 images, first 3"):
        found.of(("3.png",), fix="")


def described(values, names=None):
    return labels.describe(labels.parse(values, "here", names))


CLASSES = [0, 2, 2, 0, 0]


@pytest.mark.parametrize(
    ("values", "names", "text"),
    [
        (CLASSES, None, "3 classes; images of each: 0: 3, 1: 0, 2: 2"),
        (
            CLASSES,
            ("a", "b", "c"),
            "3 classes; images of each: 0 (a): 3, 1 (b): 0, 2 (c): 2",
        ),
        (
            np.eye(3)[CLASSES].tolist(),
            None,
            "3 classes; images of each: 0: 3, 1: 0, 2: 2",
        ),
        (
            [[1, 1], [0, 1], [0, 0]],
            None,
            "any of 2 classes; images of each: 0: 1, 1: 2",
        ),
        (
            [[0.5, 4], [-1.5, 4]],
            None,
            "vectors of 2; mean of each number (least to largest):"
            " 0: -0.5 (-1.5 to 0.5), 1: 4 (4 to 4)",
        ),
    ],
)
def test_labels_are_told_by_what_they_are(values, names, text):
    assert described(values, names) == f"labels: {text}"


def test_only_so_many_classes_are_told_one_by_one():
    assert described(list(range(23))).endswith("19: 1, and 3 more")
    said = described([0, 99_999])
    assert said.endswith("19: 0, and 99980 more; 99998 of all have no image")


def test_whole_numbers_are_classes_however_they_are_written():
    found = labels.parse([1.0, 0, 3.0], "here")
    assert found.values.tolist() == [1, 0, 3] and found.dim == 4
    assert found.empty_classes.tolist() == [2]
    with pytest.raises(ValueError, match="here has class 100000: number the classes"):
        labels.parse([100_000.0], "here")


def test_classes_become_one_hot_in_batches_of_any_shape():
    found = labels.parse(CLASSES, "here")
    items = np.array([[1, 0], [4, 4]])
    np.testing.assert_array_equal(found.rows(items), np.eye(3)[[[2, 0], [0, 0]]])
    assert found.rows(1).tolist() == [0, 0, 1] and found.rows(items).dtype == np.float32
    vectors = labels.parse(np.eye(3)[CLASSES].tolist(), "here")
    np.testing.assert_array_equal(vectors.rows(items), found.rows(items))


@pytest.mark.parametrize("values", [[0, 2], [[0, 1, 1]]], ids=["classes", "vectors"])
def test_every_class_has_a_name_of_its_own(values):
    message = "here has 2 class_names for 3 classes: give each class a name"
    with pytest.raises(ValueError, match=message):
        labels.parse(values, "here", ("a", "b"))
    with pytest.raises(ValueError, match="two classes of the name 'b'"):
        labels.parse(values, "here", ("a", "b", "b"))
    assert labels.parse(values, "here", ("a", "b", "c")).dim == 3


def test_classes_without_images_keep_their_names():
    assert labels.parse([0, 1], "here", ("a", "b", "c")).empty_classes.tolist() == [2]


def test_an_image_may_have_one_label_only():
    entries = [("a/0.png", 1), ("b.png", 0), (".\\a\\0.png", 1)]
    assert labels.Table.make("here", entries).rows == {"a/0.png": 1, "b.png": 0}
    message = "here has two labels of 'b.png': 0 in entry 1, 2 in entry 3: remove one"
    with pytest.raises(ValueError, match=message):
        labels.Table.make("here", [*entries, ("b.png", 2)])


def test_names_are_found_as_other_systems_write_them():
    table = labels.Table.make("here", [("a\\e\u0301.png", 1), (" b.png", 0)])
    found = table.of(["a/\u00e9.png", "b.png"], fix="")
    assert found.values.tolist() == [1, 0]


def test_a_table_of_other_names_says_which_it_has():
    table = labels.Table.make("here", [("/data/0.png", 1)])
    message = r"labels of 1 of 1 images, first 0.png \(it has /data/0.png\): add"
    with pytest.raises(ValueError, match=message):
        table.of(["0.png"], fix="add them")


def test_many_classes_of_many_images_take_little_memory():
    """As many as CelebA has identities, of a tenth of its images: 0.8 GB one-hot."""
    values = np.random.RandomState(0).randint(0, 10_178, 20_260).tolist()
    tracemalloc.start()
    found = labels.parse(values, "here")
    labels.describe(found)
    found.rows(np.arange(64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.values.nbytes == 4 * 20_260 and peak < 8e6
