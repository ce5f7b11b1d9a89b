"""Which files a folder or a zip holds, without clutter.

Names are paths below the folder or in the zip, with "/" on every system. Bytes of a
name that are not UTF-8 become surrogates, as everywhere in Python (os.fsdecode).
"""

import contextlib
import dataclasses
import os
import pathlib
import zipfile

from etils import epath

from afgan_jax.data import clutter, paths


@dataclasses.dataclass
class Listing:
    """The names of files, and where links lead.

    links: {link: real path}. broken: links that lead nowhere. repeated: folders that
    are left out because they, behind a link, are listed under another name.
    """

    names: list[str] = dataclasses.field(default_factory=list)
    links: dict[str, str] = dataclasses.field(default_factory=dict)
    broken: list[str] = dataclasses.field(default_factory=list)
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
        stat = os.stat(folder / below)
        if (stat.st_dev, stat.st_ino) in seen:
            found.repeated.append(below)
            continue
        seen.add((stat.st_dev, stat.st_ino))
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
                found.broken.append(name)
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


def of_zip(file: zipfile.ZipFile) -> dict[str, str]:
    """{name: zipfile's own name} of all files of a zip."""
    members = {_name(info): info.filename for info in file.infolist()}
    return {
        name: member
        for name, member in members.items()
        if not (name.endswith("/") or clutter.is_clutter(name))
    }


def _name(info: zipfile.ZipInfo) -> str:
    """The name, as UTF-8 also if the zip does not say so, which macOS leaves out."""
    name = info.filename
    if not info.flag_bits & 0x800:  # zipfile took it for code page 437
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    by_windows = info.create_system == 0 and "/" not in name
    return name.replace("\\", "/") if by_windows else name
