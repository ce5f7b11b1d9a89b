"""Images made for tests: pixels, encoded files, folders of them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def noise(size=(8, 8), channels=3, seed=0):
    """uint8 pixels [H W] or [H W C] at random; `size` is (width, height)."""
    shape = [size[1], size[0], channels][: 2 if channels == 1 else 3]
    return np.random.RandomState(seed).randint(0, 256, shape, np.uint8)


def encoded(pixels, format="png", **options):
    """The file that shows an array or a PIL image."""
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def folder(path, files):
    """A folder of files given as {name: bytes}."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def numbered(path, count, size=(8, 8), names="{}.png"):
    """A folder of `count` different PNGs."""
    return folder(
        path, {names.format(i): encoded(noise(size, seed=i)) for i in range(count)}
    )


def png16():
    """An RGB image of 16 bits a channel, which PIL cannot write."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    rows = zlib.compress(bytes(8 * (1 + 8 * 6)))
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)
