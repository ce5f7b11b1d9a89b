"""MNIST and CIFAR as their authors publish them, read without running their pickles.

MNIST is a pair of gzipped IDX files; its 28x28 images are padded by 2 black pixels, as
in the published program. CIFAR is a tar of pickles of dicts of arrays.
"""

import gzip
import io
import pickle
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import UInt8

from afgan_jax.data import clutter

MNIST = "-images-idx3-ubyte.gz"
MNIST_LABELS = "-labels-idx1-ubyte.gz"
# {tar: (start of the names of training members, key of labels, key of class names)}
CIFAR = {
    "cifar-10-python.tar.gz": ("data_batch_", "labels", "label_names"),
    "cifar-100-python.tar.gz": ("train", "fine_labels", "fine_label_names"),
}

Images = UInt8[np.ndarray, "N H W *C"]


def is_original(path: epath.Path) -> bool:
    return path.name in CIFAR or path.name.endswith(MNIST)


def read(path: epath.Path) -> tuple[Images, list[int], tuple[str, ...]]:
    """Images, their classes, and the names of the classes.

    Raises ValueError if the file is not of the kind that its name says.
    """
    reader = _read_cifar if path.name in CIFAR else _read_mnist
    try:
        images, classes, names = reader(path)
    except (OSError, EOFError, KeyError, tarfile.TarError, pickle.PickleError) as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}: {error}): fetch it again"
        ) from error
    return images, [int(number) for number in classes], names


def _read_mnist(path: epath.Path) -> tuple[Images, np.ndarray, tuple[str, ...]]:
    images = _read_idx(path)
    classes = _read_idx(path.parent / path.name.replace(MNIST, MNIST_LABELS))
    if images.ndim != 3 or classes.shape != images.shape[:1]:
        raise ValueError(f"{path} and its labels hold {images.shape}, {classes.shape}")
    images = np.pad(images, [(0, 0), (2, 2), (2, 2)])
    return images, classes, tuple("0123456789")


def _read_idx(path: epath.Path) -> UInt8[np.ndarray, "..."]:
    content = gzip.decompress(path.read_bytes())
    ndim = content[3] if content[:3] == b"\0\0\x08" else 0  # 8: of bytes
    shape = np.frombuffer(content[4 : 4 + 4 * ndim], ">u4")
    if ndim == 0 or len(content) != 4 + 4 * ndim + np.prod(shape, dtype=int):
        raise ValueError(f"{path} is no IDX file of bytes, or is cut short")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def _read_cifar(path: epath.Path) -> tuple[Images, np.ndarray, tuple[str, ...]]:
    member, labels, names = CIFAR[path.name]
    found = dict(_unpickled_members(path))
    batches = [found[name] for name in sorted(found) if name.startswith(member)]
    if not batches:
        raise ValueError(f"{path} holds no {member}")
    images = np.concatenate([batch["data"] for batch in batches])
    images = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    classes = np.concatenate([batch[labels] for batch in batches])
    meta = next(content for name, content in found.items() if "meta" in name)
    return images, classes, tuple(map(_text, meta[names]))


def _unpickled_members(path: epath.Path) -> Iterator[tuple[str, dict]]:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            is_text = name.endswith((".html", ".txt~"))
            if member.isfile() and not is_text and not clutter.is_clutter(member.name):
                content = _Arrays(tar.extractfile(member), encoding="bytes").load()
                yield name, {_text(key): value for key, value in content.items()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


class _Arrays(pickle.Unpickler):
    """Builds containers and arrays, and refuses any other name in a pickle."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("numpy") and name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("_codecs", "encode"):  # of bytes, by Python 3
            return lambda text, encoding: text.encode(encoding)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
