"""Archives: what is read, what is refused, and how refusals are worded."""

import gc
import io
import json
import pickle
import re
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest
from data.images import folder, png16
from PIL import Image
from reference import official

from afgan_jax.data import archive, labels, pipeline
from afgan_jax.data.archive import Archive, write_archive

LOADER = official.index("dataset").get("loader", [])


def random_images(count, size=8, channels=3, seed=0):
    shape = [count, size, size, channels]
    return np.random.RandomState(seed).randint(0, 256, shape, np.uint8)


def encoded(mode="RGB", size=(8, 8), suffix="png", **options):
    file = io.BytesIO()
    Image.new(mode, size).save(file, format=suffix, **options)
    return file.getvalue()


def labelled(path, count=3, **table):
    files = {f"{i}.png": encoded() for i in range(count)}
    files["dataset.json"] = json.dumps(table).encode()
    return folder(path, files)


def labels_of(found):
    """The label of each image as the networks get it."""
    return found.labels.rows(np.arange(len(found)))


def test_what_is_written_is_read_back(tmp_path):
    images = random_images(5)
    found = Archive.open(write_archive(tmp_path / "some.zip", images))
    assert (found.name, found.resolution, found.channels) == ("some", 8, 3)
    assert len(found) == 5 and found.label_dim == 0
    for image, (read, label) in zip(images, found, strict=True):
        np.testing.assert_array_equal(read, image)
        assert read.dtype == np.uint8 and label.shape == (0,)


def test_dropped_archive_closes_its_zip(tmp_path):
    found = Archive.open(write_archive(tmp_path / "some.zip", random_images(2)))
    handle = found.files._zip()
    cycle = [found]
    cycle.append(cycle)  # as the traceback of an error makes
    del found, cycle
    gc.collect()
    assert handle.fp is None


def test_written_archives_have_the_published_layout(tmp_path):
    path = write_archive(tmp_path / "a.zip", random_images(1001, size=1), range(1001))
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        labels = json.loads(file.read("dataset.json"))["labels"]
        assert {i.compress_type for i in file.infolist()} == {zipfile.ZIP_STORED}
    assert names[0] == "00000/img00000000.png"
    assert names[1000] == "00001/img00001000.png"
    assert names[-1] == "dataset.json"
    assert labels[1000] == ["00001/img00001000.png", 1000]


def test_unlabelled_archives_say_so(tmp_path):
    with zipfile.ZipFile(write_archive(tmp_path / "a.zip", random_images(1))) as file:
        assert json.loads(file.read("dataset.json")) == {"labels": None}


def test_equal_input_gives_equal_bytes(tmp_path):
    one, two = (write_archive(tmp_path / name, random_images(2)) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("labels", [None, [0, 1, 2]])
def test_a_failed_write_leaves_nothing_behind(tmp_path, labels):
    def images():
        yield from random_images(2)
        if labels is None:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, ValueError)):
        write_archive(tmp_path / "a.zip", images(), labels)
    assert not list(tmp_path.iterdir())


def test_writing_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no images to write"):
        write_archive(tmp_path / "a.zip", [])


def test_grey_images_have_one_channel(tmp_path):
    images = random_images(2, channels=1)
    found = Archive.open(write_archive(tmp_path / "grey.zip", images))
    assert found.channels == 1
    np.testing.assert_array_equal(found[1][0], images[1])


def test_folders_are_read_at_any_depth_in_order_of_names(tmp_path):
    names = ["b/1.png", "a.PNG", "b/deep/er/0.jpg", "c.webp", "d.jpeg"]
    kinds = ["png", "png", "jpeg", "webp", "jpeg"]
    files = {n: encoded(suffix=kind) for n, kind in zip(names, kinds, strict=True)}
    others = {"notes.txt": b"", "._a.png": b"left by a Mac", ".hidden/x.md": b""}
    found = Archive.open(folder(tmp_path, files | others))
    assert found.images == tuple(sorted(names))
    assert [image.shape for image, _ in found] == [(8, 8, 3)] * 5


def test_deflated_zips_are_read_as_well(tmp_path):
    stored = write_archive(tmp_path / "stored.zip", random_images(2))
    with (
        zipfile.ZipFile(stored) as old,
        zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    found = Archive.open(tmp_path / "d.zip")
    np.testing.assert_array_equal(found[1][0], random_images(2)[1])


def test_classes_become_one_hot_and_vectors_stay(tmp_path):
    one = write_archive(tmp_path / "one.zip", random_images(3), [2, 0, 3])
    two = write_archive(
        tmp_path / "two.zip", random_images(3), [[0.5, 1], [0, 0], [2, 3]]
    )
    classes = Archive.open(one, use_labels=True)
    vectors = Archive.open(two, use_labels=True)
    np.testing.assert_array_equal(labels_of(classes), np.eye(4)[[2, 0, 3]])
    np.testing.assert_array_equal(labels_of(vectors), [[0.5, 1], [0, 0], [2, 3]])
    assert labels_of(classes).dtype == labels_of(vectors).dtype == np.float32
    assert labels_of(Archive.open(one)).shape == (3, 0)


def test_mirror_doubles_what_max_images_kept(tmp_path):
    images = random_images(20)
    path = write_archive(tmp_path / "a.zip", images, range(20))
    found = Archive.open(path, use_labels=True, max_images=7, seed=3, mirror=True)
    kept = [1, 2, 4, 6, 14, 16, 17]  # the published program's choice for seed 3
    expected = np.concatenate([images[kept], images[kept][:, :, ::-1]])
    np.testing.assert_array_equal([image for image, _ in found], expected)
    np.testing.assert_array_equal(labels_of(found), np.eye(20)[kept * 2])


def test_keeping_more_images_than_there_are_keeps_all(tmp_path):
    path = write_archive(tmp_path / "a.zip", random_images(3))
    assert len(Archive.open(path, max_images=9)) == 3
    with pytest.raises(ValueError, match="max_images=0 must be at least 1"):
        Archive.open(path, max_images=0)


def test_threads_share_an_archive_and_pickling_keeps_it(tmp_path):
    images = random_images(64, size=16)
    found = Archive.open(write_archive(tmp_path / "a.zip", images), mirror=True)
    found = pickle.loads(pickle.dumps(found))
    wrong = []

    def read(first):
        for i in range(first, 64):
            if not np.array_equal(found[i][0], images[i]):
                wrong.append(i)

    threads = [threading.Thread(target=read, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(found) == 128


def refused(path, message, **options):
    """Opening or reading fails with one line that starts with the archive's path."""
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        list(Archive.open(path, **options))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (encoded("P"), "P"),
        (encoded("LA"), "LA"),
        (encoded("1"), "1"),
        (encoded("CMYK", suffix="jpeg"), "CMYK"),
        (encoded("I;16"), "I;16"),
        (png16(), "RGB;16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_modes_other_than_grey_rgb_and_rgba_are_refused(tmp_path, content, mode):
    folder(tmp_path, {"0.png": content})
    refused(tmp_path, f": 0.png has mode {mode}")


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_transparent_images_have_four_channels(tmp_path, suffix):
    images = random_images(2, channels=4)
    options = {} if suffix == "png" else {"lossless": True, "exact": True}
    for index, pixels in enumerate(images):
        path = tmp_path / f"{index}.{suffix}"
        Image.fromarray(pixels).save(path, **options)
    found = Archive.open(tmp_path)
    assert found.channels == 4
    np.testing.assert_array_equal([image for image, _ in found], images)


def test_the_first_image_must_be_of_the_asked_resolution(tmp_path):
    folder(tmp_path, {"0.png": encoded(size=(8, 6))})
    wide = Archive.open(tmp_path, resolution=(6, 8))
    assert wide.size == wide.resolution == (6, 8)
    assert wide.image(0).shape == (6, 8, 3)
    with pytest.raises(ValueError, match=r"\(8, 6\) does not match .* 8x6: .* set 6,8"):
        Archive.open(tmp_path, resolution=(8, 6))
    folder(tmp_path, {"0.png": encoded(size=(8, 8))})
    with pytest.raises(ValueError, match="resolution=16 does not match .* 8x8: resize"):
        Archive.open(tmp_path, resolution=16)
    assert Archive.open(tmp_path, resolution=8).resolution == 8


@pytest.mark.parametrize("checked", [1, 4096])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (encoded(size=(9, 9)), "9x9 RGB"),
        (encoded(size=(8, 9)), "8x9 RGB"),
        (encoded("L"), "8x8 L"),
        (encoded("RGBA"), "8x8 RGBA"),
        (png16(), "8x8 RGB;16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_later_misfit_is_refused_when_opened_or_at_latest_when_read(
    tmp_path, content, found, checked, monkeypatch
):
    monkeypatch.setattr(archive, "HEADERS_CHECKED", checked)
    folder(tmp_path, {"0.png": encoded(), "1.png": content, "2.png": encoded()})
    message = f": 1.png is {found}, but 0.png is 8x8 RGB"
    refused(tmp_path, message)
    if checked > 1:
        with pytest.raises(ValueError, match="all images must have one size and mode"):
            Archive.open(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"no image", encoded()[:40]], ids=["empty", "text", "cut short"]
)
def test_an_unreadable_image_is_named(tmp_path, content):
    folder(tmp_path, {"0.png": encoded(), "sub/1.png": content})
    refused(tmp_path, ": sub/1.png cannot be read (")


@pytest.mark.parametrize("suffix", ["png", "jpeg"])
def test_one_flipped_bit_in_a_zip_is_found(tmp_path, suffix):
    # Decoders take many a damaged JPEG for a sound one; the zip's checksum does not.
    path = tmp_path / "a.zip"
    file = io.BytesIO()
    Image.fromarray(random_images(1, size=64)[0]).save(file, format=suffix)
    with zipfile.ZipFile(path, "w") as target:
        target.writestr(f"0.{suffix}", file.getvalue() + bytes(1 << 16))
    content = bytearray(path.read_bytes())
    content[len(file.getvalue()) // 2] ^= 4
    path.write_bytes(content)
    refused(path, f": 0.{suffix} cannot be read (")


def test_what_is_no_archive_is_refused(tmp_path):
    refused(tmp_path / "none", "does not exist: give a zip or a folder")
    refused(folder(tmp_path / "empty", {"x.txt": b""}), "holds no images")
    (tmp_path / "a.zip").write_bytes(b"PK but not for long")
    refused(tmp_path / "a.zip", "is neither a folder nor a readable zip")


def test_labels_asked_for_but_absent_are_refused(tmp_path):
    refused(labelled(tmp_path / "a", labels=None), "holds no labels", use_labels=True)
    bare = folder(tmp_path / "b", {"0.png": encoded()})
    refused(bare, "dataset.json is missing or holds no labels", use_labels=True)
    some = labelled(tmp_path / "c", labels=[["1.png", 0]])
    message = "lacks the labels of 2 of 3 images, first 0.png"
    refused(some, message, use_labels=True)
    assert len(Archive.open(some)) == 3


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"labels": 3},
        {"labels": 0},
        {"labels": [1, 2, 3]},
        {"labels": [["0.png", 0], ["1.png", 0], ["2.png", 0]], "class_names": "a"},
        {"labels": [["0.png", 0, 0], ["1.png", 0], ["2.png", 0]]},
        {"labels": [["0.png", -1], ["1.png", 0], ["2.png", 0]]},
        {"labels": [["0.png", True], ["1.png", False], ["2.png", True]]},
        {"labels": [["0.png", "cat"], ["1.png", 0], ["2.png", 0]]},
        {"labels": [["0.png", [1]], ["1.png", 0], ["2.png", 0]]},
        {"labels": [["0.png", [1]], ["1.png", [1, 2]], ["2.png", [1]]]},
        {"labels": [["0.png", 0.5], ["1.png", 0], ["2.png", 0]]},
        {"labels": [["0.png", [1]], ["1.png", [np.nan]], ["2.png", [0]]]},
    ],
)
def test_malformed_labels_are_refused(tmp_path, table):
    path = labelled(tmp_path, **table)
    refused(path, "dataset.json is malformed", use_labels=True)


def test_a_hundred_thousand_classes_take_no_memory_but_of_a_batch(tmp_path):
    path = write_archive(tmp_path / "a.zip", random_images(64), [99_999, *range(63)])
    tracemalloc.start()
    found = Archive.open(path, use_labels=True, mirror=True)
    labels.describe(found.labels)
    opened = tracemalloc.get_traced_memory()[1]
    batch = next(pipeline.batches(found, batch_size=2, seed=0, num_threads=0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.label_dim == 100_000 and opened < 8e6  # dense: 51 MB
    rows = 3 * 2 * 100_000 * 4  # labels of images, and labels to generate twice
    assert batch["label"].nbytes + batch["gen_label"].nbytes == rows
    assert peak < opened + 2 * rows


def test_class_numbers_that_cannot_be_one_hot_are_refused(tmp_path):
    labels = [["0.png", 10**9], ["1.png", 0], ["2.png", 0]]
    path = labelled(tmp_path, labels=labels)
    refused(path, "has class 1000000000: number the classes from 0", use_labels=True)


def test_labels_that_are_no_json_are_refused(tmp_path):
    files = {"0.png": encoded(), "dataset.json": b'{"labels": [['}
    refused(folder(tmp_path, files), "dataset.json is not valid JSON", use_labels=True)


def recorded_archive(case, path):
    """The zip that a recorded case was read from, built anew where it is not there."""
    zips = official.folder() / "dataset" / f"{case['zip']}.zip"
    if zips.is_file():
        return zips
    arrays = official.Arrays("dataset", "dataset.npz")
    expected = arrays.under(f"expected/{case['zip']}/")
    images = [expected[name] for name in sorted(expected)]
    jobs = {job["name"]: job for job in official.index("dataset")["cases"]}
    assert jobs[case["zip"]]["dataset_json"] == {"labels": None}
    return write_archive(path / f"{case['zip']}.zip", images)


def recorded_options(kwargs):
    ours = {"use_labels": "use_labels", "xflip": "mirror"}
    ours |= {"max_size": "max_images", "random_seed": "seed"}
    return {ours[name]: value for name, value in kwargs.items()}


if LOADER:

    @pytest.mark.parametrize("case", LOADER, ids=lambda case: case["key"])
    def test_the_published_loader_reads_the_same(case, tmp_path):
        path = recorded_archive(case, tmp_path)
        options = recorded_options(case["kwargs"])
        if options.get("use_labels") and not case["has_labels"]:
            # Where the published loader drops the wish for labels without a word.
            refused(path, "set use_labels=False", **options)
            options["use_labels"] = False
        found = Archive.open(path, **options)
        images = official.Arrays("dataset", "dataset.npz")[case["key"]]
        channels, height, width = case["image_shape"]
        assert (found.channels, found.resolution) == (channels, height)
        assert found.name == case["name"] and height == width
        assert len(found) == case["length"]
        assert [found.label_dim] == case["label_shape"]
        np.testing.assert_array_equal(
            [image for image, _ in found], images.transpose(0, 2, 3, 1)
        )
        np.testing.assert_array_equal(labels_of(found), np.float32(case["labels"]))
        np.testing.assert_array_equal(found.items, case["raw_idx"])
