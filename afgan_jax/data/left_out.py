"""What of a set is not used, by kind and in words: images, archives, links, labels."""

import collections
from collections.abc import Iterator, Sequence

from afgan_jax.data import formats, label_files, paths
from afgan_jax.data.files import Files, attempt

LOOKED_INTO = 1000  # files without a known suffix
LISTED = 3  # names of a kind


def images_of(files: Files) -> tuple[str, ...]:
    """The names of images; ValueError if there are none, with what is there instead."""
    images = files.images
    if not images:
        kinds = ", ".join(sorted(kind.lower() for kind in formats.readable().formats))
        others = "; ".join([f" ({kinds})", *describe(files, ())])
        raise ValueError(f"{files.path} holds no images{others}")
    return images


def describe(
    files: Files, images: Sequence[str], tables: Sequence[str | None] = ()
) -> list[str]:
    """A line for each kind of thing that is neither one of `images` nor of `tables`.

    tables: files of labels that are used, or not used on purpose.
    """
    listing = files.listing
    taken = set(images)
    others = [name for name in files.names if name not in taken]
    lines = [_line(*kind) for kind in _kinds(files, others)]
    lost = [link for link in listing.broken if link not in taken]
    if lost:
        lines.append(f"links that lead nowhere: {_some(lost)}")
    if listing.repeated:
        again = _some(listing.repeated)
        lines.append(f"folders behind links that are read already: {again}")
    unused = [name for name in label_files.candidates(others) if name not in tables]
    if unused:
        lines.append(f"files that may hold labels: {_some(unused)}")
    return lines


def _line(kind: str, names: list[str]) -> str:
    install = formats.INSTALL.get(kind)
    fix = f"; pip install {install}" if install else ""
    return f"{len(names)} {kind} ({_some(names)}{fix})"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(paths.printable, names[:LISTED])) + more


def _kinds(files: Files, others: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(kind, names) of the files that look like images, videos or archives."""
    found, unknown = collections.defaultdict(list), []
    for name in others:
        kind = formats.of_name(name)
        if kind is None:
            unknown.append(name)
        elif kind:
            found[kind].append(name)
    if not paths.is_remote(files.path):
        for name in unknown[:LOOKED_INTO]:
            head = attempt(files.head, name)
            kind = formats.of_content(head) if isinstance(head, bytes) else None
            if kind not in (None, "text"):
                found[f"{kind} without a suffix of its kind"].append(name)
    yield from sorted(found.items())


def of_set(files: Files, images: Sequence[str]) -> list[str]:
    """`describe` of a set to train on, whose labels are those of its dataset.json."""
    try:
        table = label_files.find(files)
    except ValueError:  # several, of which none is used
        table = None
    return describe(files, images, [table])


def of_source(
    files: Files | None, images: Sequence[str], label_source: str
) -> list[str]:
    """`describe` of images that are used with these labels; see convert."""
    if files is None:
        return []
    if label_source == "none":
        tables = label_files.candidates(files.names)
    elif label_source == "auto":
        tables = [label_files.find(files)]
    else:
        tables = [label_files.within(files, label_source)]
    return describe(files, images, tables)
