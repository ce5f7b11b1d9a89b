"""MNIST and CIFAR as their authors publish them, read without running their pickles.

MNIST is a pair of gzipped IDX files; its 28x28 images are padded by 2 black pixels, as
in the published program. CIFAR is a tar of pickles of dicts of arrays.
"""

import gzip
import io
import math
import tarfile
import zlib
from collections.abc import Iterator

import numpy as np
from etils import epath
from jaxtyping import UInt8

from afgan_jax.data import clutter
from afgan_jax.interop import pickled_arrays, unpickle

MNIST = "-images-idx3-ubyte.gz"
MNIST_LABELS = "-labels-idx1-ubyte.gz"
# {tar: (start of the names of training members, key of labels, key of class names)}
CIFAR = {
    "cifar-10-python.tar.gz": ("data_batch_", "labels", "label_names"),
    "cifar-100-python.tar.gz": ("train", "fine_labels", "fine_label_names"),
}

LARGEST = 2**30  # bytes of an IDX file
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
    except (OSError, zlib.error, tarfile.TarError, *unpickle.MALFORMED) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}: {reason}): fetch it again"
        ) from error
    return images, [int(number) for number in classes], names


def _read_mnist(path: epath.Path) -> tuple[Images, np.ndarray, tuple[str, ...]]:
    images = _read_idx(path)
    classes = _read_idx(path.parent / path.name.replace(MNIST, MNIST_LABELS))
    if images.ndim != 3 or classes.shape != images.shape[:1]:
        raise ValueError(f"it and its labels hold {images.shape}, {classes.shape}")
    images = np.pad(images, [(0, 0), (2, 2), (2, 2)])
    return images, classes, tuple("0123456789")


def _read_idx(path: epath.Path) -> UInt8[np.ndarray, "..."]:
    with path.open("rb") as packed, gzip.open(packed) as file:
        head = file.read(4)
        ndim = head[3] if head[:3] == b"\0\0\x08" else 0  # 8: of bytes
        sizes = file.read(4 * ndim)
        shape = [int(size) for size in np.frombuffer(sizes, ">u4")]
        size = math.prod(shape)
        content = file.read(size + 1) if size <= LARGEST else b""
    if ndim == 0 or len(content) != size:
        raise ValueError("it is no IDX file of bytes, or is cut short")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_cifar(path: epath.Path) -> tuple[Images, np.ndarray, tuple[str, ...]]:
    member, labels, names = CIFAR[path.name]
    found = dict(_unpickled_members(path))
    batches = [found[name] for name in sorted(found) if name.startswith(member)]
    metas = [content for name, content in found.items() if "meta" in name]
    if not batches or len(metas) != 1:
        raise ValueError(f"it does not hold {member} and names of classes")
    images = np.concatenate([batch["data"].array() for batch in batches])
    images = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    classes = np.concatenate([batch[labels] for batch in batches])
    if images.dtype != np.uint8 or len(classes) != len(images):
        raise ValueError(f"it holds {len(classes)} labels of {len(images)} images")
    return images, classes, tuple(map(_text, metas[0][names]))


def _unpickled_members(path: epath.Path) -> Iterator[tuple[str, dict]]:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            is_text = name.endswith((".html", ".txt~"))
            if member.isfile() and not is_text and not clutter.is_clutter(member.name):
                file = tar.extractfile(member)
                content = unpickle.load(file, pickled_arrays.NAMES, encoding="bytes")
                yield name, {_text(key): value for key, value in content.items()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
