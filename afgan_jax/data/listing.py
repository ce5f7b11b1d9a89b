"""Which files a folder or a zip holds, without clutter.

Names are paths below the folder or in the zip, with "/" on every system. Bytes of a
name that are not UTF-8 become surrogates, as everywhere in Python (os.fsdecode).
"""

import contextlib
import dataclasses
import os
import pathlib
import posixpath
import stat
import zipfile

from etils import epath

from afgan_jax.data import clutter, paths

LONGEST = 4096  # bytes of a link's target


@dataclasses.dataclass
class Listing:
    """The names of files, and where links lead.

    links: {link: real path}. broken: {link: its target} of those that cannot be
    followed. repeated: folders that are left out because they, behind a link, are
    listed under another name.
    """

    names: list[str] = dataclasses.field(default_factory=list)
    links: dict[str, str] = dataclasses.field(default_factory=dict)
    broken: dict[str, str] = dataclasses.field(default_factory=dict)
    repeated: list[str] = dataclasses.field(default_factory=list)


def of_folder(folder: epath.Path) -> Listing:
    """All files below a folder, also behind links; OSError if one cannot be read.

    Every folder is listed once, so that loops end. Links come last: what lies below
    the folder itself keeps its own name.
    """
    if paths.is_remote(folder):
        return Listing(_below(folder))
    found, seen = Listing(), set()
    folders, linked = [""], []
    while folders or linked:
        below = folders.pop() if folders else linked.pop(0)
        status = os.stat(folder / below)
        place = status.st_dev, status.st_ino
        if place in seen:
            found.repeated.append(below)
            continue
        seen.add(place)
        with os.scandir(folder / below) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
        for entry in entries:
            if clutter.is_clutter(entry.name):
                continue
            name = f"{below}/{entry.name}" if below else entry.name
            is_link = entry.is_symlink()
            if is_link:
                found.links[name] = os.path.realpath(entry.path)
            if is_link and not os.path.exists(entry.path):
                found.broken[name] = os.readlink(entry.path)
            elif entry.is_dir():
                (linked if is_link else folders).append(name)
                continue
            found.names.append(name)
    return found


def _below(folder: epath.Path) -> list[str]:
    # Walking gs://BUCKET gives names without the scheme.
    top = pathlib.PurePath(paths.without_scheme(folder))
    found = []
    for root, _, files in folder.walk():
        below = pathlib.PurePath(paths.without_scheme(root)).relative_to(top)
        found += [(below / file).as_posix() for file in files]
    return [name for name in found if not clutter.is_clutter(name)]


def of_zip(file: zipfile.ZipFile) -> tuple[Listing, dict[str, str]]:
    """All files of a zip, and {name: zipfile's own name}."""
    found, members = Listing(), {}
    for info in file.infolist():
        name = _name(info)
        if name.endswith("/") or clutter.is_clutter(name):
            continue
        name = posixpath.normpath(name).lstrip("/")
        members[name] = info.filename
        if stat.S_ISLNK(info.external_attr >> 16):
            found.broken[name] = _target(file, info)
    found.names += members
    return found, members


def _target(file: zipfile.ZipFile, link: zipfile.ZipInfo) -> str:
    try:
        with file.open(link) as content:
            return os.fsdecode(content.read(LONGEST))
    except Exception:  # damaged zips raise errors of a dozen types
        return "a place that cannot be read"


def _name(info: zipfile.ZipInfo) -> str:
    """The name, as UTF-8 also if the zip does not say so, which macOS leaves out."""
    name = info.filename
    if not info.flag_bits & 0x800:  # zipfile took it for code page 437
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    by_windows = info.create_system == 0 and "/" not in name
    return name.replace("\\", "/") if by_windows else name
