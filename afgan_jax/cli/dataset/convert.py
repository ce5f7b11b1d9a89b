"""Convert images to an archive that can be trained on.

SRC is a folder or zip of images, cifar-10-python.tar.gz or train-images-idx3-ubyte.gz
as published (or cifar-100, or the t10k of MNIST), or tfds:NAME or tfds:NAME:SPLIT. OUT
is a new folder, or a zip if its name ends so. Both may be in buckets (gs://...). After
an interruption the same command resumes from .OUT.KEY.partial beside OUT. Images that
cannot be read are left out and listed in OUT.skipped.txt.
"""

import sys
from collections.abc import Iterator

from afgan_jax.cli import flags

LISTED = 5  # images named on the screen


def size(text: str) -> tuple[int, int]:
    """(width, height) of "256x256" or "256"."""
    parts = text.lower().split("x")
    if len(parts) == 1:
        parts *= 2
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise ValueError("must be WIDTHxHEIGHT, such as 256x256")
    return int(parts[0]), int(parts[1])


Size = flags.flag(
    "size", tuple[int, int] | None, size, "WxH", "of the images; default: as in SRC"
)
FIT = (
    "what becomes of other proportions: the middle, black bars, distorted, or WxH amid"
    " a black square"
)
Fit = flags.choice("fit", FIT, "crop", "letterbox", "stretch", "wide")
LABELS = (
    "auto (those that come with SRC), none, folders (classes by first folder), or a CSV"
    " of file name and label"
)
Channels = flags.choice(
    "channels",
    "grey, RGB or, with transparency, RGBA; auto: grey if all images are, else RGB",
    *("auto", "1", "3", "4"),
)
Background = flags.choice("background", "behind what is transparent", "white", "black")
DEPTH = "bits in use of grey images of 16 bits, such as 12; default: all"
PIXELS = (
    "of an image, more are left out; about 8 bytes of memory each, for every worker;"
    " default: 178956970"
)


def main(
    source: flags.positional("SRC"),
    out: flags.positional("OUT"),
    /,
    *,
    size: Size = None,
    fit: Fit = None,
    filter: flags.choice("filter", "of resizing", "lanczos", "box") = "lanczos",
    labels: flags.text("labels", LABELS) = "auto",
    channels: Channels = "auto",
    background: Background = "white",
    depth: flags.count("depth", DEPTH) = None,
    max_images: flags.count("max-images", "only the first so many") = None,
    max_pixels: flags.count("max-pixels", PIXELS) = None,
    workers: flags.Workers = None,
) -> None:
    # Here, not on top: --help must not wait for NumPy.
    from afgan_jax import errors
    from afgan_jax.data import convert, label_files, paths, sources, transforms, writer
    from afgan_jax.data import labels as tables

    writer.check_free(paths.resolve(out))  # before a source that takes long to open
    opened = sources.open_source(source)
    report = convert.convert(
        opened,
        out,
        size=size,
        fit=fit,
        filter=filter,
        label_source=labels,
        channels=channels,
        background=background,
        depth=depth or transforms.DEPTH,
        max_images=max_images,
        max_pixels=max_pixels or convert.MAX_PIXELS,
        workers=workers,
    )
    bare = report.labels is None
    print(f"{out}: {report.converted} images" + (", no labels" if bare else ""))
    if not bare:
        print(f"  {tables.describe(report.labels)}")
    if report.resumed:
        print(f"  {report.resumed} of them from an earlier attempt")
    if bare and label_files.could_be_classes(opened.images):
        print("  --labels=folders would make its folders classes")
    for line in _oddities(report):
        print(f"  {line}", file=sys.stderr)
    if report.skipped:
        listing = paths.resolve(f"{out.rstrip('/')}.skipped.txt")
        lines = [f"{paths.printable(n)}\t{reason}" for n, reason in report.skipped]
        text = "\n".join(lines) + "\n"
        with errors.accessing(listing):
            listing.write_bytes(text.encode(errors="surrogateescape"))
        print(f"  {len(lines)} left out, listed in {listing}:", file=sys.stderr)
        for line in lines[:LISTED]:
            print(f"    {line.replace(chr(9), ': ')}", file=sys.stderr)


def _oddities(report) -> Iterator[str]:
    """Lines on what came out other than it may be meant, or was not used."""
    from afgan_jax.data import paths

    def some(names):
        return ", ".join(map(paths.printable, names[:LISTED]))

    if report.dark:
        yield (
            f"{len(report.dark)} of 16 bits came out nearly black, such as"
            f" {some(report.dark)}: if they use fewer bits, convert with --depth=12"
        )
    if report.several:
        yield (
            f"{len(report.several)} have several frames or pages, of which the first is"
            f" used, such as {some(report.several)}"
        )
    for line in report.left_out:
        yield f"not used: {line}"
