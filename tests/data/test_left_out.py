"""Nothing of a set is left out without a word."""

import sys
import types
import zipfile

import pytest
from data.conversions import made
from data.images import encoded, folder, noise, numbered
from etils import epath
from PIL import Image, features

from afgan_jax.cli import sources as cli
from afgan_jax.data import archive, files, formats, inspect, left_out

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0"


def told(path):
    opened = files.Files(epath.Path(path))
    return left_out.describe(opened, opened.images)


def test_what_looks_like_data_is_counted_by_kind(tmp_path):
    others = ("b.jxl", "c/d.JXL", "e.dng", "f.mp4", "g.zip", "h.tar.gz", "i.psd")
    contents = {"j": encoded(noise()), "k.bin": b"PK\3\4", "l.heic": HEIC}
    ignored = dict.fromkeys(("readme.md", "a.txt", "m.bin", "_"), b"?")
    files = dict.fromkeys(others, b"") | contents | ignored
    path = numbered(folder(tmp_path / "in", files), 2)
    expected = [
        "1 HEIC (l.heic; pip install pillow-heif)",
        "2 JPEG XL (b.jxl, c/d.JXL; pip install pillow-jxl-plugin)",
        "1 PNG without a suffix of its kind (j)",
        "1 Photoshop (i.psd)",
        "2 archive (g.zip, h.tar.gz)",
        "1 archive without a suffix of its kind (k.bin)",
        "1 camera raw (e.dng)",
        "1 video (f.mp4)",
    ]
    assert told(path) == expected
    assert made(path, tmp_path / "out").left_out == tuple(expected)
    assert inspect.inspect(path).left_out == tuple(expected)


def test_zips_inside_zips_are_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("0.png", encoded(noise()))
        target.writestr("inner.zip", b"PK")
    assert told(tmp_path / "a.zip") == ["1 archive (inner.zip)"]


def test_only_some_names_are_listed(tmp_path):
    folder(tmp_path, dict.fromkeys(("a\n.heic", "b.heic", "c.heic", "d.heic"), b""))
    (line,) = told(tmp_path)
    assert line.startswith("4 HEIC (a\\n.heic, b.heic, c.heic and 1 more; pip install")


def test_links_that_lead_nowhere_or_back_are_told(tmp_path):
    numbered(tmp_path, 1)
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to("nowhere")
    assert told(tmp_path) == [
        "links that lead nowhere: gone",
        "folders behind links that are read already: up",
    ]


def test_a_set_without_images_says_what_is_there_instead(tmp_path):
    folder(tmp_path, {"a.heic": HEIC})
    message = r"holds no images \(.*png.*\); 1 HEIC \(a.heic; pip install pillow-he"
    for read in (archive.Archive.open, inspect.inspect):
        with pytest.raises(ValueError, match=message):
            read(tmp_path)


def written() -> list[str]:
    """The allowed formats that this Pillow writes; older ones lack AVIF and QOI."""
    Image.init()
    kinds = formats.ALLOWED - {"HEIF", "JXL"}
    assert kinds - set(Image.SAVE) <= {"AVIF", "QOI"}
    return sorted(kinds & set(Image.SAVE))


@pytest.mark.parametrize("kind", written())
def test_all_that_pillow_reads_safely_is_read(tmp_path, kind):
    suffixes = [s for s, f in Image.registered_extensions().items() if f == kind]
    file = encoded(noise(), kind)
    source = folder(tmp_path / "in", {f"a{suffix}": file for suffix in suffixes})
    assert files.Files(epath.Path(source)).images and told(source) == []
    assert made(source, tmp_path / "out").converted == len(suffixes)


@pytest.mark.parametrize("module", sorted(formats.PLUGINS))
def test_plugins_of_pillow_are_used_where_they_are(monkeypatch, module):
    kind, suffix = {"pillow_heif": ("HEIF", ".heic"), "pillow_jxl": ("JXL", ".jxl")}[
        module
    ]
    for registry in ("OPEN", "EXTENSION"):
        monkeypatch.setattr(Image, registry, dict(getattr(Image, registry)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))

    def register():
        Image.register_open(kind, lambda file, name: None, lambda head: False)
        Image.register_extension(kind, suffix)

    plugin = types.ModuleType(module)
    plugin.register_heif_opener = register
    if module == "pillow_jxl":
        register()  # by importing it
    monkeypatch.setitem(sys.modules, module, plugin)
    found = formats.readable.__wrapped__()
    assert kind in found.formats and suffix in found.suffixes


def test_nothing_is_read_by_a_format_without_signature():
    found = formats.readable().formats
    assert set(found) <= formats.ALLOWED
    assert ("AVIF" in found) == ("avif" in features.get_supported())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Pillow cannot identify it: it is empty"),
        (b"<html>404</html>", "Pillow cannot identify it: it is text"),
        (HEIC, "Pillow cannot identify it: it is HEIC, which needs pillow-heif"),
        (encoded(noise((64, 64)))[:2000], "image file is truncated"),
        (encoded(Image.new("F", (8, 8)), "tiff"), "mode F has no defined black and"),
    ],
)
def test_reasons_are_short_and_say_what_is_there(tmp_path, content, reason):
    source = folder(tmp_path / "in", {"a.jpg": content, "b.png": encoded(noise())})
    ((name, told),) = made(source, tmp_path / "out", size=(8, 8)).skipped
    assert name == "a.jpg" and told.startswith(reason)
    assert str(tmp_path) not in told and "BytesIO" not in told


def test_verbs_that_read_images_tell_what_they_leave(tmp_path, capsys):
    numbered(folder(tmp_path, {"a.heic": HEIC, "labels.csv": b""}), 2)
    assert len(cli.images(str(tmp_path))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("WARNING: ") and "not used: 1 HEIC (a.heic" in line
