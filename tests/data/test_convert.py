"""Conversion: what is made of sources good and bad, alone, in parallel, interrupted."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from data.pictures import encoded, folder, noise, numbered
from PIL import Image

from afgan_jax.data import archive, convert, sources, writer


def made(source, out, **settings):
    return convert.convert(sources.open_source(source), out, **settings)


def read(path, **options):
    """Pixels and labels of an archive."""
    found = archive.Archive.open(path, **options)
    return np.stack([image for image, _ in found]), found.labels


def content(path):
    """Every file below a folder, or a zip's bytes."""
    if path.is_file():
        return path.read_bytes()
    files = [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def cmyk():
    return Image.fromarray(noise(channels=4), "CMYK")


def turned():
    image = Image.fromarray(noise())
    image.getexif()[0x0112] = 6
    return image


@pytest.mark.parametrize("out", ["a.zip", "a", "deep/er/a.zip"])
def test_what_is_converted_can_be_trained_on(tmp_path, out):
    source = numbered(tmp_path / "in", 3, (12, 8), "sub/{}.png")
    report = made(source, tmp_path / out, size=(8, 8), fit="crop")
    images, labels = read(tmp_path / out)
    expected = [noise((12, 8), seed=i)[:, 2:10] for i in range(3)]
    np.testing.assert_array_equal(images, expected)
    assert labels.shape == (3, 0)
    assert (report.converted, report.resumed, report.skipped) == (3, 0, ())
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(
    ("name", "file", "mode"),
    [
        ("grey.png", encoded(noise(channels=1)), "RGB"),
        ("rgba.png", encoded(noise(channels=4)), "RGB"),
        ("deep.png", encoded(noise(channels=1).astype(np.uint16) << 8), "RGB"),
        ("ink.jpg", encoded(cmyk(), "jpeg"), "RGB"),
        ("turned.jpg", encoded(turned(), "jpeg", exif=turned().getexif()), "RGB"),
        ("camera.jpg", encoded(turned(), "mpo", save_all=True), "RGB"),
        ("lossy.webp", encoded(noise(), "webp"), "RGB"),
        ("few.gif", encoded(noise(channels=1), "gif"), "RGB"),
        ("old.bmp", encoded(noise(), "bmp"), "RGB"),
        ("scan.tif", encoded(noise(), "tiff"), "RGB"),
        ("plain.ppm", encoded(noise(), "ppm"), "RGB"),
    ],
)
def test_every_kind_of_picture_becomes_rgb_among_rgb(tmp_path, name, file, mode):
    source = folder(tmp_path / "in", {name: file, "z.png": encoded(noise())})
    report = made(source, tmp_path / "out")
    assert not report.skipped
    with Image.open(tmp_path / "out/00000/img00000000.png") as image:
        assert (image.mode, image.size) == (mode, (8, 8))


def test_grey_alone_stays_grey_unless_asked(tmp_path):
    deep = encoded(noise(channels=1, seed=1).astype(np.uint16) * 257)
    files = {"0.png": encoded(noise(channels=1)), "1.png": deep}
    source = folder(tmp_path / "in", files)
    made(source, tmp_path / "grey")
    made(source, tmp_path / "rgb", channels="3")
    grey, rgb = read(tmp_path / "grey")[0], read(tmp_path / "rgb")[0]
    np.testing.assert_array_equal(grey[1, ..., 0], noise(channels=1, seed=1))
    np.testing.assert_array_equal(rgb, np.repeat(grey, 3, axis=-1))


def test_photographs_are_shown_upright(tmp_path):
    image = Image.fromarray(np.repeat(np.uint8([[0], [255]]), 8, axis=1).repeat(4, 0))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    file = encoded(image, "jpeg", exif=exif, quality=100)
    made(folder(tmp_path / "in", {"0.jpg": file}), tmp_path / "out")
    pixels = read(tmp_path / "out")[0][0, ..., 0]
    assert (pixels[:, :3] > 240).all() and (pixels[:, 5:] < 15).all()


def broken_set(path):
    files = {f"{i}.png": encoded(noise(seed=i)) for i in (0, 2, 5)}
    files["1.png"] = b"no picture"
    files["3.png"] = encoded(noise((64, 64)))[:2000]  # its header is whole
    files["4.tif"] = encoded(Image.new("F", (8, 8)), "tiff")
    return folder(path, files)


def test_broken_files_are_left_out_and_listed(tmp_path):
    source = broken_set(tmp_path / "in")
    report = made(source, tmp_path / "a.zip", size=(8, 8))
    assert report.converted == 3
    assert [name for name, _ in report.skipped] == ["1.png", "3.png", "4.tif"]
    reasons = " | ".join(reason for _, reason in report.skipped)
    assert re.search("identify.*truncated.*mode F has no defined black", reasons)
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        numbers = [name[-6:-4] for name in file.namelist()[:-1]]
    assert numbers == ["00", "02", "05"]  # the others keep their numbers


def test_nothing_but_broken_files_is_refused(tmp_path):
    source = folder(tmp_path / "in", {"0.png": b"", "1.png": b""})
    with pytest.raises(ValueError, match="no image can be read, 2 fail, the first"):
        made(source, tmp_path / "a.zip")
    cut = folder(tmp_path / "cut", {"0.png": encoded(noise((64, 64)))[:2000]})
    with pytest.raises(ValueError, match="no image is left, 1 fail"):
        made(cut, tmp_path / "a.zip")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "cut"}


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_any_number_of_workers_makes_the_same_bytes(tmp_path, suffix):
    source = broken_set(tmp_path / "in")
    one, many = tmp_path / f"1{suffix}", tmp_path / f"8{suffix}"
    made(source, one, size=(16, 16), workers=1)
    made(source, many, size=(16, 16), workers=8)
    assert content(one) == content(many)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("suffix", ["", ".zip"])
@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_an_interrupted_conversion_goes_on(tmp_path, monkeypatch, suffix, after):
    source = broken_set(tmp_path / "in")
    numbered(source, 6, names="more/{}.png")  # 9 good ones in all
    whole, resumed = tmp_path / f"whole{suffix}", tmp_path / f"some{suffix}"
    made(source, whole, size=(8, 8))
    kinds = (writer.ZipWriter, writer.FolderWriter)
    for kind in kinds:
        monkeypatch.setattr(kind, "add", interrupted(kind.add, after))
        monkeypatch.setattr(kind, "finish", interrupted(kind.finish, 0))
    with pytest.raises(Killed):
        made(source, resumed, size=(8, 8))
    monkeypatch.undo()
    assert not resumed.exists()
    report = made(source, resumed, size=(8, 8))
    assert (report.resumed, report.converted) == (after, 9)
    assert content(resumed) == content(whole)
    assert not list(tmp_path.glob(".*"))


def interrupted(function, after):
    calls = []

    def call(*arguments):
        if len(calls) == after:
            raise Killed
        calls.append(None)
        return function(*arguments)

    return call


@pytest.mark.parametrize("cut", [1, 40, 1000, 100_000])
def test_a_zip_cut_off_anywhere_goes_on(tmp_path, monkeypatch, cut):
    source = numbered(tmp_path / "in", 9, (16, 16))
    made(source, tmp_path / "whole.zip")
    monkeypatch.setattr(writer.ZipWriter, "finish", interrupted(None, 0))
    with pytest.raises(Killed):
        made(source, tmp_path / "a.zip")
    monkeypatch.undo()
    (partial,) = tmp_path.glob(".a.zip.*.partial")
    partial.write_bytes(partial.read_bytes()[:-cut])
    report = made(source, tmp_path / "a.zip")
    assert report.resumed < report.converted == 9
    assert content(tmp_path / "a.zip") == content(tmp_path / "whole.zip")


@pytest.mark.parametrize("change", ["settings", "source"])
def test_what_no_longer_fits_is_made_anew(tmp_path, monkeypatch, change):
    source = numbered(tmp_path / "in", 3)
    monkeypatch.setattr(writer.ZipWriter, "finish", interrupted(None, 0))
    with pytest.raises(Killed):
        made(source, tmp_path / "a.zip", size=(8, 8))
    monkeypatch.undo()
    if change == "source":
        (source / "1.png").write_bytes(encoded(noise(seed=99)))
    size = (4, 4) if change == "settings" else (8, 8)
    report = made(source, tmp_path / "a.zip", size=size)
    assert report.resumed == 0
    assert not list(tmp_path.glob(".*"))
    if change == "source":
        np.testing.assert_array_equal(read(tmp_path / "a.zip")[0][1], noise(seed=99))


def test_two_processes_do_not_write_one_archive(tmp_path, monkeypatch):
    source = numbered(tmp_path / "in", 3)
    again = []

    def finish(self, table):
        with pytest.raises(ValueError, match="another process is writing"):
            made(source, tmp_path / "a.zip")
        again.append(self)
        self.discard()

    monkeypatch.setattr(writer.ZipWriter, "finish", finish)
    made(source, tmp_path / "a.zip")
    assert again


def test_labels_of_folders_keep_their_names(tmp_path):
    names = {"b/0.png": 1, "a/1.png": 0, "b/2.png": 1}
    source = folder(tmp_path / "in", {name: encoded(noise()) for name in names})
    made(source, tmp_path / "a.zip", label_source="folders")
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        table = json.loads(file.read("dataset.json"))
    assert table["class_names"] == ["a", "b"]
    assert [label for _, label in table["labels"]] == [0, 1, 1]
    np.testing.assert_array_equal(
        read(tmp_path / "a.zip", use_labels=True)[1], [[1, 0], [0, 1], [0, 1]]
    )
    made(tmp_path / "a.zip", tmp_path / "again")  # names are kept on
    again = json.loads((tmp_path / "again/dataset.json").read_text())
    assert again == table


def test_labels_of_a_csv_and_of_dataset_json(tmp_path):
    source = numbered(tmp_path / "in", 2)
    (tmp_path / "x.csv").write_text("name,a,b\n1.png,0.5,1\n0.png,2,3\n")
    made(source, tmp_path / "csv", label_source=str(tmp_path / "x.csv"))
    rows = [["1.png", 1], ["0.png", 0]]
    (source / "dataset.json").write_text(json.dumps({"labels": rows}))
    made(source, tmp_path / "json")
    made(source, tmp_path / "none", label_source="none")
    vectors = read(tmp_path / "csv", use_labels=True)[1]
    np.testing.assert_array_equal(vectors, [[2, 3], [0.5, 1]])
    classes = read(tmp_path / "json", use_labels=True)[1]
    np.testing.assert_array_equal(classes, [[1, 0], [0, 1]])
    assert json.loads((tmp_path / "none/dataset.json").read_text()) == {"labels": None}


def refused(message, source, out, **settings):
    """Conversion fails with this text in one line, and leaves nothing behind."""
    before = sorted(out.parent.iterdir()) if out.parent.is_dir() else None
    with pytest.raises(ValueError, match=message) as error:
        made(source, out, **settings)
    assert "\n" not in str(error.value)
    if before is not None:
        assert sorted(out.parent.iterdir()) == before


def test_labels_for_some_images_only_are_refused(tmp_path):
    source = numbered(tmp_path / "in", 3)
    (source / "dataset.json").write_text('{"labels": [["1.png", 0]]}')
    message = "lacks the labels of 2 of 3 images, first 0.png: .*--labels=none"
    refused(message, source, tmp_path / "a.zip")
    (tmp_path / "x.csv").write_text("0.png,0\n1.png,1\n")
    labels = str(tmp_path / "x.csv")
    refused("lacks the labels of 1", source, tmp_path / "a.zip", label_source=labels)
    message = "by its folders lacks the labels of 3 of 3"
    refused(message, source, tmp_path / "a.zip", label_source="folders")


def test_other_proportions_without_a_fit_are_refused(tmp_path):
    source = folder(
        tmp_path / "in",
        {"0.png": encoded(noise()), "sub/1.png": encoded(noise((8, 6)))},
    )
    message = "sub/1.png is 8x6, not square: choose --fit=crop"
    refused(message, source, tmp_path / "a.zip", size=(8, 8))
    refused(message, source, tmp_path / "a.zip")


def test_several_sizes_without_one_asked_for_are_refused(tmp_path):
    source = numbered(tmp_path / "in", 2)
    numbered(source, 1, (9, 9), "x.png")
    refused(r"2 sizes \(8x8, 9x9\): give the one", source, tmp_path / "a.zip")


def test_a_source_without_images_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/notes.txt").write_text("")
    refused("in holds no images", tmp_path / "in", tmp_path / "a.zip")
    refused("none does not exist: give a folder", tmp_path / "none", tmp_path / "a.zip")


@pytest.mark.parametrize("out", ["file.zip", "folder"])
def test_what_exists_is_not_overwritten(tmp_path, out):
    source = numbered(tmp_path / "in", 1)
    folder(tmp_path, {"file.zip": b"mine", "folder/file": b"mine"})
    refused(f"{out} exists: remove it", source, tmp_path / out)
    assert (tmp_path / "folder/file").read_bytes() == b"mine"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    made(numbered(tmp_path / "in", 1), tmp_path / "out")
    assert len(read(tmp_path / "out")[0]) == 1


def test_where_nothing_can_be_written_is_named(tmp_path):
    source = numbered(tmp_path / "in", 1)
    (tmp_path / "file").write_text("")
    for out in ("file/a.zip", "file/deep/er"):
        message = f"{out} cannot be written: .*(Not a directory|File exists)"
        refused(message, source, tmp_path / out)


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_full_disk_keeps_what_was_done(tmp_path, monkeypatch, suffix):
    source = numbered(tmp_path / "in", 4)
    for kind in (writer.ZipWriter, writer.FolderWriter):
        monkeypatch.setattr(kind, "add", full_after(kind.add, 2))
    with pytest.raises(OSError, match="No space left"):
        made(source, tmp_path / f"a{suffix}")
    monkeypatch.undo()
    assert not (tmp_path / f"a{suffix}").exists()
    assert made(source, tmp_path / f"a{suffix}").resumed == 2


def full_after(function, count):
    calls = []

    def call(*arguments):
        if len(calls) == count:
            raise OSError(28, "No space left on device")
        calls.append(None)
        return function(*arguments)

    return call


def test_only_the_first_images_are_taken(tmp_path):
    source = numbered(tmp_path / "in", 5)
    report = made(source, tmp_path / "a.zip", max_images=2)
    images = read(tmp_path / "a.zip")[0]
    np.testing.assert_array_equal(images, [noise(seed=0), noise(seed=1)])
    assert report.converted == 2


def test_a_zip_is_a_source_like_its_folder(tmp_path):
    source = numbered(tmp_path / "in", 3, names="sub/{}.png")
    shutil.make_archive(tmp_path / "in", "zip", source)
    made(source, tmp_path / "a.zip")
    made(tmp_path / "in.zip", tmp_path / "b.zip")
    assert content(tmp_path / "a.zip") == content(tmp_path / "b.zip")
