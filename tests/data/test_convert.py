"""Conversion: what is made of sources good and bad."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from data.conversions import broken_set, content, made, read
from data.images import encoded, folder, noise, numbered, png16
from PIL import Image

from afgan_jax import json_files
from afgan_jax.data import archive, inspect


def cmyk():
    return Image.merge("CMYK", Image.fromarray(noise(channels=4)).split())


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
def test_every_kind_of_image_becomes_rgb_among_rgb(tmp_path, name, file, mode):
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
    again = (tmp_path / "again/dataset.json").read_text()
    assert json_files.parse(again, "again") == table


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
    none = (tmp_path / "none/dataset.json").read_text()
    assert json_files.parse(none, "none") == {"labels": None}


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
    message = "lacks the labels of 2 of 3 images, first 0.png: .*or set labels=none"
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
    message = "sub/1.png is 8x6, of other proportions than 8x8: choose a fit, crop"
    refused(message, source, tmp_path / "a.zip", size=(8, 8))
    refused(r"2 sizes \(8x8, 8x6\): choose one", source, tmp_path / "a.zip")


def test_transparency_stays_if_asked_for(tmp_path):
    pixels = noise(channels=4)
    pixels[:2, :, 3] = 0
    source = folder(tmp_path / "in", {"0.png": encoded(pixels)})
    made(source, tmp_path / "a.zip", channels="4", background="black")
    found = archive.Archive.open(tmp_path / "a.zip")
    pixels[:2, :, :3] = 0
    np.testing.assert_array_equal(found.image(0), pixels)
    made(source, tmp_path / "b.zip")
    assert archive.Archive.open(tmp_path / "b.zip").channels == 3


def test_several_sizes_without_one_asked_for_are_refused(tmp_path):
    source = numbered(tmp_path / "in", 2)
    numbered(source, 1, (9, 9), "x.png")
    refused(r"2 sizes \(8x8, 9x9\): choose one", source, tmp_path / "a.zip")


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


@pytest.mark.parametrize("out", ["in/a.zip", "in/sub/out", "other/../in/a"])
def test_a_source_does_not_hold_what_is_made_of_it(tmp_path, out):
    source = numbered(tmp_path / "in", 1)
    with pytest.raises(ValueError, match="lies in .*in: choose a place outside"):
        made(source, tmp_path / out)
    assert [path.name for path in source.iterdir()] == ["0.png"]


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


def deep(bits, name="png"):
    """A grey image of 16 bits that uses the lowest `bits`."""
    values = np.linspace(0, 2**bits - 1, 64).astype(np.uint16).reshape(8, 8)
    return encoded(values, name)


def test_images_of_16_bits_that_use_12_are_told_and_can_be_bright(tmp_path):
    files = {"a.png": deep(16), "b.png": deep(12), "c.tif": deep(12, "tiff")}
    files |= {"black.png": encoded(np.zeros([8, 8], np.uint16))}
    files |= {"night.png": encoded(np.full([8, 8], 3, np.uint8))}
    source = folder(tmp_path / "in", files)
    assert made(source, tmp_path / "16").dark == ("b.png", "c.tif")
    assert made(source, tmp_path / "12", depth=12).dark == ()
    images = read(tmp_path / "12")[0]
    np.testing.assert_array_equal(images[1], images[3])
    assert images[1].max() == 255
    refused("depth=20 must be from 9 to 16", source, tmp_path / "x", depth=20)


def test_deep_colours_have_no_other_depth(tmp_path):
    files = {"a.png": png16(), "b.png": deep(12)}
    source = folder(tmp_path / "in", files)
    assert made(source, tmp_path / "16").skipped == ()
    ((name, reason),) = made(source, tmp_path / "12", depth=12).skipped
    assert name == "a.png" and reason.startswith("depth=12 is for grey images: of RGB;")


def test_the_first_of_several_frames_is_told(tmp_path):
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    kinds = {"a.gif": "gif", "b.png": "png", "c.tif": "tiff", "d.mpo": "mpo"}
    more = {"save_all": True, "append_images": frames[1:]}
    files = {name: encoded(frames[0], kind, **more) for name, kind in kinds.items()}
    source = folder(tmp_path / "in", files | {"e.gif": encoded(frames[0], "gif")})
    assert made(source, tmp_path / "out").several == ("a.gif", "b.png", "c.tif")


def test_large_images_are_named_and_can_be_allowed(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # Pillow refuses 81 and more
    files = {"wide.png": encoded(noise((24, 8))), "z.png": encoded(noise())}
    source = folder(tmp_path / "in", files)
    report = made(source, tmp_path / "a", size=(8, 8), fit="crop", max_pixels=100)
    why = "it is 24x8, more pixels than max_pixels=100"
    assert report.skipped == (("wide.png", why),)
    report = made(source, tmp_path / "b", size=(8, 8), fit="crop", max_pixels=192)
    assert report.converted == 2 and Image.MAX_IMAGE_PIXELS == 40 and not recwarn
    (broken,) = inspect.inspect(source).broken
    assert "wide.png cannot be read (it has more than 80 pixels)" in broken
    assert not recwarn


def test_a_damaged_description_of_an_image_is_no_fault(tmp_path, recwarn):
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    file = encoded(noise(), "jpeg", exif=exif)
    source = folder(tmp_path / "in", {"a.jpg": file})
    assert made(source, tmp_path / "out").converted == 1
    assert not inspect.inspect(source).broken and not recwarn
