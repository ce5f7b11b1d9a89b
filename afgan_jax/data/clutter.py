"""What systems and programs leave in folders and zips: it does not count as data."""

# Beside hidden files and folders, which include .DS_Store, ._a.png, .Trash-1000 and
# .ipynb_checkpoints; in lower case.
NAMES = {
    "__macosx",  # zips made by macOS
    "icon\r",
    "network trash folder",
    "temporary items",
    "thumbs.db",  # Windows
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "lost+found",  # Linux
    "__pycache__",
    "@eadir",  # network storage
    "#recycle",
    "#snapshot",
    "@recycle",
    "@recently-snapshot",
    "~snapshot",
}


def is_clutter(name: str) -> bool:
    """Whether a path in a set is, or lies in, something hidden or one of NAMES."""
    parts = [part for part in name.split("/") if part not in (".", "..")]
    return any(part.startswith(".") or part.lower() in NAMES for part in parts)
