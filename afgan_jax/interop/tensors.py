"""Files of PyTorch tensors, read without PyTorch.

`torch.save` writes one of two containers, with a pickle and the bytes of storages. In
the pickle a tensor is (storage, offset, size, stride), in elements, and a storage is a
persistent id ("storage", type, key, location, count, ...).
  zip     <top>/data.pkl, <top>/data/<key> (since PyTorch 1.6)
  legacy  five pickles: magic number, version, sizes of C types, the object, the list of
          keys; then for every key its count (8 bytes) and its elements
All numbers are little-endian.
"""

import io
import os
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from afgan_jax.interop import unpickle

MAGIC = 0x1950A86A20F9469CFC6C
ZIP_MAGIC = b"PK\x03\x04"
DTYPES = {
    "torch.DoubleStorage": "<f8",
    "torch.FloatStorage": "<f4",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "<i1",
    "torch.ByteStorage": "<u1",
    "torch.BoolStorage": "|b1",
}


class Storage:
    """Contiguous elements; `data` is set when the bytes are read."""

    __slots__ = ("dtype", "count", "data")

    def __init__(self, dtype: str, count: int, data: bytes = b""):
        self.dtype, self.count, self.data = np.dtype(dtype), count, data


class Tensor(NamedTuple):
    """A view of a storage, as the pickle describes it."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        """A copy of the elements; ValueError if they are not all in the storage."""
        flat = np.frombuffer(self.storage.data, self.storage.dtype)
        steps = list(zip(self.size, self.stride, strict=True))
        last = self.offset + sum((n - 1) * step for n, step in steps)
        count = int(np.prod(self.size, dtype=object))
        if min((0, self.offset, *self.size, *self.stride)) < 0 or count > len(flat):
            raise ValueError(f"a tensor of shape {self.size} is not in its storage")
        if count and last >= len(flat):
            raise ValueError(f"a tensor of shape {self.size} ends after its storage")
        width = flat.itemsize
        view = np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.size, [step * width for _, step in steps]
        )
        return np.array(view, self.storage.dtype.newbyteorder("="))


def rebuild_tensor(storage, offset, size, stride, *_) -> Tensor:
    """`torch._utils._rebuild_tensor_v2`, without gradients, hooks and metadata."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor has no storage")
    return Tensor(storage, int(offset), tuple(size), tuple(stride))


def rebuild_parameter(tensor, *_) -> Tensor:
    """`torch._utils._rebuild_parameter`: the tensor itself."""
    return tensor


NAMES = {
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "collections.OrderedDict": OrderedDict,
    **DTYPES,
}


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays, by name, of a state dict that `torch.save` wrote.

    It may be the only entry of another dict (`{"state_dict": ...}`).
    Raises ValueError if the file holds anything else; no code in it is run.
    """
    with unpickle.opened(path, "a state dict of PyTorch tensors") as file:
        content = read_container(file)
        if isinstance(content, Mapping) and len(content) == 1:
            (inner,) = content.values()
            content = inner if isinstance(inner, Mapping) else content
        return _arrays(content)


def _arrays(content: Any) -> dict[str, np.ndarray]:
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"{name!r} is a {type(value).__name__}, no tensor")
    return {name: tensor.array() for name, tensor in content.items()}


def read_container(file: io.IOBase) -> Any:
    """The object, with Tensors in it, of a file in either format.

    Raises one of unpickle.MALFORMED if it is in neither.
    """
    start = file.read(len(ZIP_MAGIC))
    file.seek(-len(start), io.SEEK_CUR)
    return _read_zip(file) if start == ZIP_MAGIC else _read_legacy(file)


def _read_zip(file: io.IOBase) -> Any:
    with zipfile.ZipFile(file) as archive:
        (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        top = pickled.removesuffix("data.pkl")
        if f"{top}byteorder" in archive.namelist():
            if _stored(archive, f"{top}byteorder") != b"little":
                raise ValueError("its numbers are big-endian")
        found = {}

        def storage(pid):
            made = _storage(pid, found)
            made.data = made.data or _stored(archive, f"{top}data/{pid[2]}")
            return made

        return unpickle.load(io.BytesIO(_stored(archive, pickled)), NAMES, storage)


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member; refuses compression, which PyTorch never uses, for zip bombs."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    return archive.read(name)


def _read_legacy(file: io.IOBase) -> Any:
    magic, version, system = (unpickle.load(file, {}) for _ in range(3))
    if magic != MAGIC or version != 1001 or not system["little_endian"]:
        raise ValueError(f"its first number is {magic}, its version {version}")
    found = {}
    content = unpickle.load(file, NAMES, lambda pid: _storage(pid, found))
    for key in unpickle.load(file, {}):
        (count,) = struct.unpack("<q", file.read(8))
        storage = found[key]
        if count != storage.count:
            raise ValueError(f"storage {key} has {count} elements")
        storage.data = file.read(count * storage.dtype.itemsize)
    return content


def _storage(pid, found: dict[str, Storage]) -> Storage:
    """The storage of a persistent id, created on first use."""
    kind, dtype, key, _, count, *view = pid
    if kind != "storage" or dtype not in DTYPES.values() or view not in ([], [None]):
        raise ValueError(f"it refers to {pid!r}")
    return found.setdefault(key, Storage(dtype, count))
