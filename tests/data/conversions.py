"""Conversions for tests: made of a path, read back, and a source with broken files."""

import numpy as np
from data.images import encoded, folder, noise
from PIL import Image

from afgan_jax.data import archive, convert, sources


def made(source, out, **settings):
    return convert.convert(sources.open_source(source), out, **settings)


def read(path, **options):
    """Pixels and labels of an archive."""
    found = archive.Archive.open(path, **options)
    images, rows = zip(*found, strict=True)
    return np.stack(images), np.stack(rows)


def content(path):
    """Every file below a folder, or a zip's bytes."""
    if path.is_file():
        return path.read_bytes()
    files = [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def broken_set(path):
    files = {f"{i}.png": encoded(noise(seed=i)) for i in (0, 2, 5)}
    files["1.png"] = b"no image"
    files["3.png"] = encoded(noise((64, 64)))[:2000]  # its header is whole
    files["4.tif"] = encoded(Image.new("F", (8, 8)), "tiff")
    return folder(path, files)
