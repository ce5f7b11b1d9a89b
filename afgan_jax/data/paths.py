"""Paths on this machine or in buckets (gs://..., s3://...), through etils.epath."""

import os

from etils import epath

from afgan_jax import places

# The library for each kind of bucket; epath finds them through fsspec.
LIBRARIES = {"gs": "gcsfs", "s3": "s3fs", "az": "adlfs", "hf": "huggingface_hub"}


def resolve(path: str | os.PathLike) -> epath.Path:
    """The path as `places.named` reads it; ValueError if its library is missing."""
    path = epath.Path(places.named(path))
    scheme = str(path).partition("://")[0]
    if is_remote(path):
        try:
            path.exists()
        except ImportError as error:
            raise ValueError(
                f"{path} needs a library that is not installed: pip install "
                f"{LIBRARIES.get(scheme, 'fsspec')}"
            ) from error
    return path


def is_remote(path: epath.Path) -> bool:
    return places.is_url(path)


def is_inside(path: epath.Path, folder: epath.Path) -> bool:
    """Whether `path` is `folder` or below it."""
    inner, outer = path.resolve(), folder.resolve()
    return inner == outer or outer in inner.parents


def without_scheme(path: epath.Path) -> str:
    return str(path).rpartition("://")[2]


def printable(name: str) -> str:
    """The name in one line: control characters as in Python's texts, such as \\n."""
    return "".join(repr(c)[1:-1] if ord(c) < 32 or c == "\x7f" else c for c in name)
