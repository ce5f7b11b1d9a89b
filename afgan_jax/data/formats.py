"""Which files are images that can be read, and what other files look like.

Formats and suffixes are those of the installed Pillow, and of its plugins for HEIC
(pillow-heif) and JPEG XL (pillow-jxl-plugin) where they are installed.
"""

import contextlib
import functools
import importlib
import io
import os
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

# Formats of pixels whose files begin with a signature, so that none is misread.
ALLOWED = {"PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF"}
ALLOWED |= {"QOI", "HEIF", "JXL"}
ALIASES = {"MPO": "JPEG"}  # read as JPEG, registered for writing only
# {module: the function that registers its format, if importing does not}
PLUGINS = {"pillow_heif": "register_heif_opener", "pillow_jxl": None}
# {what other files look like: suffixes}; Pillow knows more kinds of images
KINDS = {
    "HEIC": "heic heif hif heics heifs",
    "JPEG XL": "jxl",
    "AVIF": "avif avifs",
    "camera raw": "cr2 cr3 nef arw dng orf rw2 raf pef srw",
    "SVG": "svg svgz",
    "Photoshop": "psd psb",
    "OpenEXR": "exr",
    "video": "mp4 mov avi mkv webm m4v wmv mpg mpeg flv 3gp",
    "archive": "zip tar gz tgz bz2 tbz2 xz txz zst 7z rar",
    "file of arrays": "npy npz mat h5 hdf5 parquet arrow tfrecord tfrecords mdb",
}
SUFFIXES = {f".{s}": kind for kind, names in KINDS.items() for s in names.split()}
INSTALL = {
    "HEIC": "pillow-heif",
    "JPEG XL": "pillow-jxl-plugin",
    "AVIF": "pillow>=11.3",
}
# Files that are neither, whose content is not looked at.
TEXTS = {".txt", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".html", ".htm", ".md"}
TEXTS |= {".yaml", ".yml", ".ini", ".log", ".py", ".sh", ".pdf", ".xmp", ".aae"}
# (offset, bytes there, what a file that has them is)
SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftyp", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"8BPS", "Photoshop"),
    (0, b"PK\3\4", "archive"),
    (0, b"\x1f\x8b", "archive"),
    (0, b"BZh", "archive"),
    (0, b"7z\xbc\xaf", "archive"),
    (0, b"\xfd7zXZ", "archive"),
    (0, b"Rar!", "archive"),
    (0, b"<", "text"),
)
HEAD = 16  # bytes that tell what a file is


class Readable(NamedTuple):
    """Formats, by Pillow's names, and the suffixes of their files in lower case."""

    formats: tuple[str, ...]
    suffixes: tuple[str, ...]


@functools.cache
def readable() -> Readable:
    """What can be read here."""
    for module, register in PLUGINS.items():
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        if register is not None:
            getattr(found, register)()
    known = Image.registered_extensions()  # which loads all of Pillow's own
    formats = tuple(sorted(ALLOWED & set(Image.OPEN)))
    suffixes = (s for s, kind in known.items() if ALIASES.get(kind, kind) in formats)
    return Readable(formats, tuple(sorted(suffixes)))


def open_image(file: io.IOBase) -> Image.Image:
    """The image in an open file, not yet decoded; ValueError says what else it is."""
    try:
        return Image.open(file, formats=readable().formats)
    except Image.UnidentifiedImageError as error:
        file.seek(0)
        head = file.read(HEAD)
        kind = of_content(head) if head else "empty"
        about = f"it is {kind}" if kind else "it is no known kind of image"
        if kind in INSTALL:
            about += f", which needs {INSTALL[kind]}"
        raise ValueError(f"Pillow cannot identify it: {about}") from error
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS
        raise ValueError(f"it has more than {most:,} pixels") from error


@contextlib.contextmanager
def any_size() -> Iterator[None]:
    """Lets Pillow open images of any number of pixels meanwhile, in all threads."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Silences Pillow meanwhile, in all threads: its warnings do not name the file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def of_name(name: str) -> str | None:
    """What a file looks like by its suffix, "" for what is of no interest.

    None: the content must tell.
    """
    suffix = os.path.splitext(name)[1].lower()
    if suffix in TEXTS or suffix in readable().suffixes:
        return ""
    return SUFFIXES.get(suffix) or Image.registered_extensions().get(suffix)


def of_content(head: bytes) -> str | None:
    """What a file looks like by its first HEAD bytes; None: like nothing known."""
    for offset, signature, kind in SIGNATURES:
        if head[offset:].startswith(signature):
            return kind
    return None


def mode_of(image: Image.Image) -> str:
    """PIL's mode, followed by ";16" if the file has 16 bits a channel."""
    coded = str(image.tile)  # as in [("zip", (0, 0, 8, 8), 41, "RGB;16B")]
    deep = image.mode in ("L", "LA", "RGB", "RGBA") and ";16" in coded
    return f"{image.mode};16" if deep else image.mode
