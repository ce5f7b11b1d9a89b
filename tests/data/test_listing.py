"""Which files of a folder or a zip count, and under which names."""

import os
import pickle
import zipfile

import pytest
from data.images import encoded, folder, noise
from etils import epath

from afgan_jax.data import clutter, files, listing, sources

RUBBISH = (
    ".DS_Store",
    "._a.png",
    ".ipynb_checkpoints/a.png",
    "cats/.ipynb_checkpoints/a.png",
    ".Trash-1000/files/a.png",
    "__MACOSX/cats/._a.png",
    "__MACOSX/a.png",
    "cats/Thumbs.db",
    "cats/desktop.ini",
    "@eaDir/a.png",
    "$RECYCLE.BIN/a.png",
    "System Volume Information/a.png",
    "lost+found/a.png",
    "cats/__pycache__/a.png",
)
KEPT = ("a.png", "cats/a.png", "MACOSX/a.png", "a.DS_Store.png")


def names(path):
    return files.Files(epath.Path(path)).names


@pytest.mark.parametrize("zipped", [False, True])
def test_what_systems_leave_does_not_count(tmp_path, zipped):
    path = folder(tmp_path / "a", dict.fromkeys((*RUBBISH, *KEPT), b"x"))
    if zipped:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
            for file in path.rglob("*"):  # with an entry for each folder
                target.write(file, file.relative_to(path))
        path = tmp_path / "a.zip"
    assert names(path) == sorted(KEPT)


def test_a_set_may_lie_in_a_hidden_folder(tmp_path):
    path = folder(tmp_path / ".cache" / "__MACOSX", {"a.png": b""})
    assert names(path) == ["a.png"]
    assert all(map(clutter.is_clutter, RUBBISH))


def test_links_are_followed_and_loops_end(tmp_path):
    real = folder(tmp_path / "real", {"cats/0.png": b"", "dogs/1.png": b""})
    top = folder(tmp_path / "set", {"birds/2.png": b""})
    (top / "cats").symlink_to(real / "cats")
    (top / "link.png").symlink_to(real / "dogs/1.png")
    (top / "birds/up").symlink_to(top)
    (top / "again").symlink_to(top / "birds")
    (top / "self").symlink_to(top / "self")
    (top / "gone.png").symlink_to("nowhere.png")
    found = listing.of_folder(epath.Path(top))
    expected = ["birds/2.png", "cats/0.png", "gone.png", "link.png", "self"]
    assert sorted(found.names) == expected
    assert found.broken == {"gone.png": "nowhere.png", "self": str(top / "self")}
    assert sorted(found.repeated) == ["again", "birds/up"]
    assert found.links["cats"] == str(real / "cats")
    (tmp_path / "linked").symlink_to(top)
    assert names(tmp_path / "linked") == expected


def test_two_links_to_one_another_end(tmp_path):
    folder(tmp_path, {"a/0.png": b"", "b/1.png": b""})
    (tmp_path / "a/b").symlink_to(tmp_path / "b")
    (tmp_path / "b/a").symlink_to(tmp_path / "a")
    assert names(tmp_path) == ["a/0.png", "b/1.png"]
    assert names(tmp_path / "a") == ["0.png", "b/1.png"]


def test_a_broken_link_is_named_with_its_target(tmp_path):
    (tmp_path / "a.png").symlink_to("nowhere.png")
    found = files.Files(epath.Path(tmp_path))
    with pytest.raises(files.BrokenImage, match="a.png .*link to nowhere.png, which"):
        found.read_header("a.png")


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    folder(tmp_path, {"a/0.png": b"", "b/1.png": b""})

    def scandir(path):
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return entries(path)

    entries = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match="Permission denied: .*b"):
        names(tmp_path)


@pytest.mark.parametrize(
    ("raw", "utf8", "name"),
    [
        ("caf\xe9.png".encode(), True, "caf\xe9.png"),
        ("caf\xe9.png".encode(), False, "caf\xe9.png"),  # as macOS writes it
        ("caf\xe9.png".encode("cp437"), False, "caf\xe9.png"),
        (b"photos\\a.png", False, "photos/a.png"),  # as some of Windows write it
        (b"./photos//a.png", False, "photos/a.png"),
        (b"/a.png", False, "a.png"),
    ],
)
def test_names_in_zips_are_read_as_they_were_meant(tmp_path, raw, utf8, name):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as target:
        info = zipfile.ZipInfo("?" * len(raw))
        info.create_system = 0
        target.writestr(info, b"content")
    content = path.read_bytes().replace(b"?" * len(raw), raw)
    if utf8:
        content = content.replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\0\x08")
        content = content.replace(
            b"PK\1\2\x14\0\x14\0\0\0", b"PK\1\2\x14\0\x14\0\0\x08"
        )
    path.write_bytes(content)
    found = pickle.loads(pickle.dumps(files.Files(epath.Path(path))))
    assert found.names == [name]
    assert found.read(name) == b"content" and found.checksum(name)[0] == 7


def test_links_in_zips_are_named_and_not_followed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        for name in ("cats", "a.png", "damaged"):
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            target.writestr(info, f"../{name}")
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"../damaged", b"../DAMAGED"))
    found = files.Files(epath.Path(tmp_path / "a.zip"))
    expected = {"cats": "../cats", "a.png": "../a.png"}
    expected["damaged"] = "a place that cannot be read"
    assert found.listing.broken == expected
    with pytest.raises(files.BrokenImage, match="it is a link to ../a.png"):
        found.read_header("a.png")


def test_a_zip_whose_names_are_not_what_it_claims_is_named(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("caf\xe9.png", b"")
    path.write_bytes(path.read_bytes().replace(b"\xc3\xa9", b"\xe9\xe9"))
    with pytest.raises(ValueError, match="a.zip is neither a folder nor a read"):
        names(path)


def test_another_target_of_a_link_is_another_source(tmp_path):
    same = {f"{name}/0.png": encoded(noise()) for name in "ab"}
    folder(tmp_path, same)
    for name in "ab":
        os.utime(tmp_path / name / "0.png", (0, 0))
    for link, inside in (("set/cats", ""), ("set/one.png", "0.png")):
        (tmp_path / "set").mkdir(exist_ok=True)
        keys = set()
        for name in "aba":
            (tmp_path / link).unlink(missing_ok=True)
            (tmp_path / link).symlink_to(tmp_path / name / inside)
            keys.add(sources.open_source(tmp_path / "set").key)
        assert len(keys) == 2


def test_names_are_bytes(tmp_path):
    for name in (b"caf\xe9.png", "caf\xe9.png".encode()):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(encoded(noise()))
    found = sources.open_source(tmp_path)
    assert set(map(os.fsencode, found.images)) == {b"caf\xe9.png", b"caf\xc3\xa9.png"}
    assert found.read(0).size == (8, 8) and found.key
